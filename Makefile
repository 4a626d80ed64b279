# Everything here needs bash, git, Python 3.11 or newer, and for the tests Node.js 20 or newer.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
SERVICES := agents ledger router tools
PYTHON_READY := .venv/.ready
NPM_READY := tests/npm/node_modules/.ready
POSTGRES_READY := .venv/.postgres
IPROUTE_READY := .venv/.iproute
FAKETIME_READY := .venv/.faketime
REDIS_READY := .venv/.redis

# Test processes; `auto` is two for each core.
WORKERS ?= auto
# More arguments for the program that a target runs: make test ARGS="-k takeover"
ARGS ?=
# How long `make chaos` lets faults come, and the seed that they follow from; another one each time when not given.
MINUTES ?= 10
SEED ?=
# The interpreter that makes .venv; python3.11 or python3 when not given.
export PYTHON

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(PYTHON_READY) ## run the platform on this machine and send it a request
	@$(BIN)/trunkline demo $(ARGS)

.PHONY: test
test: check $(NPM_READY) $(POSTGRES_READY) $(IPROUTE_READY) $(FAKETIME_READY) $(REDIS_READY) ## check, then run every test
	@$(BIN)/pytest -n $(WORKERS) $(ARGS)

.PHONY: check
check: $(PYTHON_READY) ## lint, format, types, who imports whom, undeclared dependencies
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/uv pip check --quiet --python $(BIN)/python || { echo 'Run make lock: requirements.lock lacks the above.'; exit 1; }
	@$(BIN)/python scripts/check_isolated.py

.PHONY: bench
bench: $(PYTHON_READY) ## measure a turn with one tool call
	@$(BIN)/python -m bench.one_tool_turn $(ARGS)

.PHONY: chaos
chaos: $(PYTHON_READY) $(FAKETIME_READY) ## load and faults of every kind for MINUTES=10 [SEED=n], then the laws are checked
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: lock
lock: $(PYTHON_READY) ## write requirements.lock; with ARGS=--upgrade, to the newest versions
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		$(patsubst %,--no-emit-package %,trunkline $(SERVICES:%=trunkline-%)) \
		--extra platform --group dev pyproject.toml --output-file requirements.lock $(ARGS)
	@cd tests/npm && npm install --package-lock-only --silent

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf .venv tests/npm/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PYTHON_READY): requirements.lock weights.lock pyproject.toml $(SERVICES:%=services/%/pyproject.toml) scripts/python_env.sh
	@scripts/python_env.sh
	@touch $@

$(POSTGRES_READY): $(PYTHON_READY) scripts/postgres.sh
	@scripts/postgres.sh
	@touch $@

$(IPROUTE_READY): $(PYTHON_READY) scripts/iproute.sh
	@scripts/iproute.sh
	@touch $@

$(FAKETIME_READY): $(PYTHON_READY) scripts/faketime.sh
	@scripts/faketime.sh
	@touch $@

$(REDIS_READY): $(PYTHON_READY) scripts/redis.sh
	@scripts/redis.sh
	@touch $@

$(NPM_READY): tests/npm/package-lock.json scripts/npm_tools.sh
	@scripts/npm_tools.sh
	@touch $@
