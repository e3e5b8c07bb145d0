# Each target does its own set-up. `make run` and `make test` are the two to know.
SWIFT_BUILD = swift build -c release
BACKFEED = .build/release/backfeed

.PHONY: run test build install lint format bench chaos fuzz sanitize pictures install-dependencies install-service-dependencies clean

run: build
	$(BACKFEED) demo

install-dependencies:
	@scripts/install-dependencies

install-service-dependencies:
	@scripts/install-dependencies --service

build: install-service-dependencies
	$(SWIFT_BUILD) --product backfeed

# Everything that continuous integration checks. Tests are built in release: the same code as the service. System tests mostly wait, for
# clocks and killed processes: two at a time, each file by one of them, because its tests share services.
test: install-dependencies lint
	$(SWIFT_BUILD) --build-tests
	swift test -c release --skip-build
	FUZZ_SEED=1 scripts/fuzz 4
	.venv/bin/python -m pytest -q -n 2 --dist loadfile --durations 25 Tests/System

lint:
	swift format lint --strict --parallel --recursive Package.swift Sources Tests
	scripts/check-layers
	scripts/check-generated
	shellcheck scripts/install-dependencies scripts/install scripts/check-layers scripts/check-generated scripts/fuzz scripts/sanitize scripts/docs-pictures docker/*.sh findings/*.sh .ci/run

format:
	swift format --in-place --parallel --recursive Package.swift Sources Tests

# Kills publishers, service and PostgreSQL in random order while people switch; counts what is in the table, and holds positions, register, plans and
# audit log against an independent model: make chaos MINUTES=60 SEED=7
MINUTES = 10
SEED = 1
chaos: install-dependencies build
	.venv/bin/python Tests/System/chaos.py --minutes $(MINUTES) --seed $(SEED)

# Every decoder and the spool's reader, so long each: make fuzz SECONDS=600
SECONDS = 60
fuzz: install-dependencies
	scripts/fuzz $(SECONDS)

# The Swift tests under the address and the thread sanitizer.
sanitize: install-dependencies
	scripts/sanitize

# The pictures of docs/, from the browser tests.
pictures: install-dependencies build
	.venv/bin/python -m pytest -q Tests/System/test_console.py Tests/System/test_console_plans.py
	scripts/docs-pictures

bench: install-dependencies build
	$(BACKFEED) bench trace
	$(BACKFEED) bench validate
	$(BACKFEED) bench ingest --python .venv/bin/python
	$(BACKFEED) bench detect
	$(BACKFEED) bench query

install: build
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install

clean:
	rm -rf .build var test-output
