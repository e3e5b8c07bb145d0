# Each target does its own set-up. `make run` and `make test` are the two to know.
SWIFT_BUILD = swift build -c release
BACKFEED = .build/release/backfeed

.PHONY: run test build lint format bench chaos install-dependencies install-service-dependencies clean

run: build
	$(BACKFEED) demo

install-dependencies:
	@scripts/install-dependencies

install-service-dependencies:
	@scripts/install-dependencies --service

build: install-service-dependencies
	$(SWIFT_BUILD) --product backfeed

# Everything that continuous integration checks. Tests are built in release: the same code as the service.
test: install-dependencies lint
	$(SWIFT_BUILD) --build-tests
	swift test -c release --skip-build
	.venv/bin/python -m pytest -q Tests/System

lint:
	swift format lint --strict --parallel --recursive Package.swift Sources Tests
	scripts/check-layers
	scripts/check-generated
	shellcheck scripts/install-dependencies scripts/check-layers scripts/check-generated .ci/run

format:
	swift format --in-place --parallel --recursive Package.swift Sources Tests

# Kills publishers, service and PostgreSQL in random order and counts what is in the table: make chaos MINUTES=60 SEED=7
MINUTES = 10
SEED = 1
chaos: install-dependencies build
	.venv/bin/python Tests/System/chaos.py --minutes $(MINUTES) --seed $(SEED)

bench: build
	$(BACKFEED) bench trace
	$(BACKFEED) bench ingest
	$(BACKFEED) bench detect

clean:
	rm -rf .build var test-output
