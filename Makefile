# Each target does its own set-up. `make run` and `make test` are the two to know.
SWIFT_BUILD = swift build -c release
BACKFEED = .build/release/backfeed

.PHONY: run test build unit integration console lint format bench install-dependencies clean

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

bench: build
	$(BACKFEED) bench trace
	$(BACKFEED) bench ingest
	$(BACKFEED) bench detect

clean:
	rm -rf .build var test-output
