# The commands of the project, for people and for CI; `make help` lists them.
# ARGS reaches the program of demo, test, up, down and evidence.
# WORKERS is how many tests run at once; each of them has a broker of its own.
# LOCK=worker sets up what the serving roles need, without PyTorch and the development tools.
# A CPU-only PyTorch has other hashes: UV_TORCH_BACKEND=cpu make lock setup

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3.11
LOCK ?= all
WORKERS ?= 2
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-$(LOCK)
COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
	--python-version 3.11 --python-platform linux

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@echo
	@sed -n '2,4s/^# //p' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(STAMP) ## Create .venv from the lock files; name the Debian packages that are missing

$(STAMP): requirements/setup.lock requirements/$(LOCK).lock pyproject.toml
	@.ci/packages java mvn
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/setup.lock
	@# A worker imports 1,100 files. Where Python writes no bytecode, each start would compile them.
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes \
		-r requirements/$(LOCK).lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q agents models streams tables
	@touch $@

.PHONY: lock
lock: $(BIN)/uv ## Resolve the lock files anew from pyproject.toml
	$(COMPILE) --output-file requirements/all.lock --extra archive --extra cache --extra registry --extra train \
		--extra backtest --extra dashboards --extra docs --extra containers --extra supply --extra traces \
		--extra dev pyproject.toml
	$(COMPILE) --output-file requirements/worker.lock --constraint requirements/all.lock pyproject.toml
	printf 'setuptools\nuv\n' | $(COMPILE) --output-file requirements/setup.lock \
		--constraint requirements/all.lock -
	$(COMPILE:linux=x86_64-manylinux_2_31) --output-file requirements/peers.lock requirements/peers.in

$(BIN)/uv: requirements/setup.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.PHONY: demo
demo: $(STAMP) ## Ticks to decisions on a real broker, with the page open at the end
	$(BIN)/tradewind demo $(ARGS)

.PHONY: test
test: $(STAMP) ## Run all tests with coverage, as HTML in build/coverage
	@.ci/packages java mvn chromium promtool amtool
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term --cov-report=html $(ARGS)

.PHONY: check
check: $(STAMP) ## Lint, formatting, types and the order of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: lint
lint: $(STAMP) ## Correct what the linter and the formatter can correct themselves
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: evidence
evidence: $(STAMP) ## Measure every number that the documents state (minutes to hours)
	$(BIN)/tradewind evidence --all $(ARGS)

.PHONY: bench
bench: $(STAMP) ## Measure the chain's latency and tick rate beside their peers (8 minutes)
	$(BIN)/tradewind evidence chain-latency tick-rate $(ARGS)

.PHONY: chaos
chaos: $(STAMP) ## Kill, interrupt and poison a running chain; compare with an undisturbed one
	$(BIN)/pytest tests/chaos tests/e2e/test_kill.py tests/integration/test_chain.py tests/integration/test_stamped.py $(ARGS)

.PHONY: fuzz
fuzz: $(STAMP) ## A million damaged inputs for the decoders, guided by coverage (some minutes)
	$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: nightly
nightly: $(STAMP) ## The searches that are too long for a push: a million steps of risk, 10,000 seeds, full chaos (hours)
	HYPOTHESIS_PROFILE=nightly $(BIN)/tradewind evidence risk-prove chain-simulation chaos-kill9 recovery-time \
		chaos-failpoints chaos-rebalance chaos-broker chaos-faults judge-mutants $(ARGS)
	$(BIN)/python -m tests.fuzz

.PHONY: up
up: $(STAMP) ## Start the stack in the background
	$(BIN)/tradewind up $(ARGS)

.PHONY: down
down: $(STAMP) ## Stop the stack; its data stays
	$(BIN)/tradewind down $(ARGS)

.PHONY: sbom
sbom: $(STAMP) ## Bills of materials of the lock files, CycloneDX, in build/sbom
	@mkdir -p build/sbom
	@for lock in setup worker all; do \
		$(BIN)/cyclonedx-py requirements requirements/$$lock.lock --pyproject pyproject.toml \
			--output-reproducible --of JSON -o build/sbom/$$lock.cdx.json || exit 1; \
	done

.PHONY: audit
audit: $(STAMP) ## Known vulnerabilities of what is locked; fails too if nobody can say
	@mkdir -p build/audit
	@failed=0; for lock in setup worker all; do \
		$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
			-r requirements/$$lock.lock -f json -o build/audit/$$lock.json || { \
			echo "audit: $$lock.lock is vulnerable, or could not be audited whole; see above" >&2; \
			failed=1; }; \
	done; exit $$failed

.PHONY: secrets
secrets: ## Draw the secrets of docker/compose.yml that are not there yet
	@$(PYTHON) docker/new_secrets.py

.PHONY: clean
clean: ## Remove what was built here; stacks and the environment stay
	rm -rf build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
