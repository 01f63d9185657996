# Firstcome. `make` without a target lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# What the build and the service need beyond a Swift 6 toolchain, by Debian's names.
PACKAGES := libhiredis-dev libpq-dev libsqlite3-dev zlib1g-dev redis-server redis-tools
LINT_PACKAGES := lua-check
TEST_PACKAGES := openssl gnuplot-nox python3 postgresql-15
# What makes the Debian package and the tarball, and what checks them.
DIST_PACKAGES := debhelper dpkg-dev chrpath python3 binutils
DIST_TEST_PACKAGES := mmdebstrap lintian man-db systemd
# What several services need in `make torture`.
SEVERAL_PACKAGES := postgresql-15
COSTS_PACKAGES := valgrind binutils
# `make contract` installs the rest from PyPI into .build/contract.
CONTRACT_PACKAGES := python3-venv
# The browser of `make console-test`, and what drives it.
CONSOLE_PACKAGES := chromium chromium-driver python3-selenium
# What `make bench` compares the service with, the load generator, and what draws the plots.
BENCH_PACKAGES := webdis wrk nginx-light postgresql-15 gnuplot-nox

# The release links Swift's runtime statically: it starts faster, takes less CPU, and runs where no toolchain is. The run-time
# check for exclusive access stays in debug builds, where every test runs with it.
RELEASE := -c release --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked
BINARY = $$(swift build $(RELEASE) --show-bin-path)/firstcome
COSTS = $(BINARY)-costs --thresholds Tests/Costs/thresholds.json

# One process per suite, the longest first.
SUITES := EndToEndTests $(shell grep -o '"[A-Za-z]*Tests"' Package.swift | tr -d '"' | grep -v '^EndToEndTests$$')

# Where `make run` keeps its data and listens. STORE is the URL of a PostgreSQL for the store, instead of a file among the data.
DATA ?= data
STORE ?=
HOST ?= 127.0.0.1
PORT ?= 8080

# How often `make torture` injects a fault, or `make bench` measures each row; empty for the default of each. SEED, ONLY and, for
# the torture, SERVICES may be set too.
ROUNDS ?=

.PHONY: help run demo test upgrade-test contract console-test dist dist-test costs thresholds torture fuzz bench build lint format clean
.PHONY: dist-packages dist-test-packages costs-build packages test-packages contract-packages console-packages costs-packages bench-packages
.PHONY: several-packages lint-packages

help: ## Print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

run: build ## Build a release and start the service on 127.0.0.1:8080, with sample data on the first start: STORE=postgresql://...
	@$(if $(STORE),export FIRSTCOME_STORE='$(STORE)';) $(BINARY) demo --data '$(DATA)' --url 'http://$(HOST):$(PORT)'
	@$(if $(STORE),export FIRSTCOME_STORE='$(STORE)';) exec $(BINARY) serve --data '$(DATA)' --host '$(HOST)' --port '$(PORT)'

demo: build ## Play a flash sale in under a minute, on a service in a temporary folder: SECONDS=30 KEEP=1
	swift build $(RELEASE) --product firstcome-flash-sale
	@exec $(BINARY)-flash-sale --seconds '$(or $(SECONDS),30)' --port '$(PORT)' $(if $(KEEP),--keep)

build: packages ## Build a release
	swift build $(RELEASE) --product firstcome
	@echo "built $(BINARY)"

test: packages test-packages ## Build and run every test; the last line counts them
	swift build --build-tests
	@Tests/run-suites $(SUITES)

dist: build dist-packages ## Make a Debian package and a tarball, in .build/dist
	@.dist/build "$(BINARY)"

dist-test: build dist-packages dist-test-packages ## Install, upgrade and remove the package in a Debian without Swift, and run the tarball there
	@Tests/Dist/run "$(BINARY)"

contract: packages contract-packages ## Check the HTTP contract by schemathesis and by a generated client: SEED=1 EXAMPLES=25 ONLY='as users' STORE=postgresql://...
	swift build --product firstcome
	@Tests/Contract/run $(if $(SEED),--seed '$(SEED)') $(if $(EXAMPLES),--examples '$(EXAMPLES)') $(if $(ONLY),--only '$(ONLY)') $(if $(STORE),--store '$(STORE)')

console-test: packages console-packages ## Watch and steer sales with the console in a real browser: SCREENSHOTS=DIR
	swift build --product firstcome
	@Tests/Console/run $(if $(SCREENSHOTS),--screenshots '$(SCREENSHOTS)') "$$(swift build --show-bin-path)/firstcome"

costs: costs-build ## Count what requests cost, and compare it with the thresholds: ONLY='claim, sold out'
	@$(COSTS) $(if $(ONLY),--only '$(ONLY)')

thresholds: costs-build ## Count what requests cost, and write it as the new thresholds
	@$(COSTS) --write $(if $(ONLY),--only '$(ONLY)')

costs-build: packages costs-packages
	swift build $(RELEASE) --product firstcome
	swift build $(RELEASE) --product CountingAllocator
	swift build $(RELEASE) --product firstcome-costs

# The last commit whose services knew nothing of others beside them.
FORMER ?= a900b34

upgrade-test: packages test-packages ## Replace services under load by those of this build, and by those of an earlier commit: FORMER=COMMIT
	swift build --build-tests
	@folder="$$PWD/.build-former/$$(git rev-parse --short '$(FORMER)')"; former="$$folder/.build/debug/firstcome"; \
	if [ ! -x "$$former" ]; then \
		mkdir -p "$$folder" && git archive '$(FORMER)' | tar -x -C "$$folder" && swift build --package-path "$$folder" --product firstcome; \
	fi; \
	FIRSTCOME_FORMER_BINARY="$$former" swift test --skip-build --filter RollingUpgradeTests

torture: packages $(if $(filter-out 1,$(SERVICES)),several-packages) ## Inject faults while customers shop, and check what was lost: SERVICES=3 ROUNDS=50 SEED=1 ONLY=Redis
	swift build --product firstcome
	swift build --product WrongClock
	swift build --product firstcome-torture
	@$$(swift build --show-bin-path)/firstcome-torture --rounds '$(or $(ROUNDS),50)' --services '$(or $(SERVICES),1)' $(if $(SEED),--seed '$(SEED)') $(if $(ONLY),--only '$(ONLY)')

fuzz: packages test-packages ## Send malformed and hostile requests to the HTTP server: REQUESTS=1000000 SECONDS=600 SEED=1
	swift build --build-tests
	@export $(if $(SEED),SEED='$(SEED)') FIRSTCOME_FUZZ_REQUESTS='$(or $(REQUESTS),1000000)'; \
	swift test --skip-build --filter '^RequestFuzzingTests\.'
	@export $(if $(SEED),SEED='$(SEED)') FIRSTCOME_FUZZ_CONNECTIONS=1000000 FIRSTCOME_FUZZ_SECONDS='$(or $(SECONDS),600)'; \
	swift test --skip-build --filter '^EndToEndTests\..*HostileClientTests'
	FIRSTCOME_FUZZER=1 swift build --scratch-path .build-fuzz --sanitize fuzzer --product firstcome-fuzzer
	@cd .build-fuzz && FIRSTCOME_FUZZ_CORPUS=corpus debug/firstcome-fuzzer corpus -dict=corpus.dict -max_len=4096 \
	-max_total_time='$(or $(SECONDS),600)' $(if $(SEED),-seed='$(SEED)') -print_final_stats=1

bench: packages bench-packages ## Measure the service beside its peers: QUICK=1 ROUNDS=5 ONLY=claim BEFORE=/path/to/an/earlier/firstcome
	swift build $(RELEASE) --product firstcome
	swift build $(RELEASE) --product firstcome-bench
	@$(BINARY)-bench $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(ONLY),--only '$(ONLY)') $(if $(BEFORE),--before '$(BEFORE)')

lint: lint-packages ## Check the format of Swift, and Lua with luacheck
	swift format lint --strict --recursive --parallel Package.swift Sources Tests lua
	luacheck --no-color --quiet lua

format: ## Format every Swift file in place
	swift format --in-place --recursive --parallel Package.swift Sources Tests lua

clean: ## Remove what was built; data stays
	rm -rf .build .build-*

packages: ; @.ci/install $(PACKAGES)
test-packages: ; @.ci/install $(TEST_PACKAGES) && .ci/prometheus >/dev/null
dist-packages: ; @.ci/install $(DIST_PACKAGES)
dist-test-packages: ; @.ci/install $(DIST_TEST_PACKAGES)
contract-packages: ; @.ci/install $(CONTRACT_PACKAGES)
console-packages: ; @.ci/install $(CONSOLE_PACKAGES)
costs-packages: ; @.ci/install $(COSTS_PACKAGES)
bench-packages: ; @.ci/install $(BENCH_PACKAGES)
several-packages: ; @.ci/install $(SEVERAL_PACKAGES)
lint-packages: ; @.ci/install $(LINT_PACKAGES)
