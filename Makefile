# offerstream. `make` alone says what there is.
#
# Needs Python 3.11 to 3.14, git and make; no compiler. Another Python: make PYTHON=python3.12 setup.
# Everything is installed into .venv, from wheels whose hashes are in requirements/.

PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
RUN := .venv/bin/python
RUNTIME := .venv/.runtime-$(VERSION)
DEV := .venv/.dev-$(VERSION)
BENCH := .venv/.bench-$(VERSION)
KERNELS := .venv/.kernels-$(VERSION)
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check
JOBS ?= 3
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Say what there is
	@echo 'make TARGET:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------------------------------------- set-up

.PHONY: setup
setup: $(DEV) $(KERNELS) ## Set everything up in .venv; leaves the command at .venv/bin/offerstream
	@echo 'Ready: .venv/bin/offerstream (next: make demo, make test)'

$(RUNTIME): pyproject.toml requirements/runtime.txt requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
	  echo "offerstream needs Python 3.11 to 3.14, and $(PYTHON) is $$($(PYTHON) -V 2>&1 | tail -n 1)." \
	       'Name another: make PYTHON=python3.12 setup' >&2; exit 1; }
	@echo 'Setting up .venv with Python $(VERSION): the first time this fetches about 180 MB.'
	@test -x .venv/bin/python$(VERSION) || { rm -rf .venv && $(PYTHON) -m venv .venv; } || { \
	  rm -rf .venv; echo 'python3 -m venv failed: on Debian and Ubuntu, apt-get install python3-venv.' >&2; exit 1; }
	@$(INSTALL) --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements/dev.txt
	@echo 'Adding the tools for tests and checks to .venv.'
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

$(KERNELS): $(RUNTIME) $(shell grep -rl 'import kernel' stream)
	@echo 'Compiling what must be fast: a minute or two, once. It is kept beside its source.'
	@$(RUN) -m stream.decide.warm deciding & $(RUN) -m stream.decide.warm && wait $$!
	@touch $@

.PHONY: lock
lock: $(DEV) ## Choose the newest versions that pyproject.toml allows, and lock them by hash
	$(LOCK) pyproject.toml --output-file requirements/runtime.txt
	$(LOCK) --group build --constraints requirements/runtime.txt --output-file requirements/build.txt
	$(LOCK) pyproject.toml --group dev --constraints requirements/runtime.txt \
	  --constraints requirements/build.txt --output-file requirements/dev.txt
	$(LOCK) --group java --output-file requirements/java.txt
	$(LOCK) --group bench --constraints requirements/dev.txt --output-file requirements/bench.txt
	$(LOCK) --group bench-bytewax --output-file requirements/bench-bytewax.txt
	$(LOCK) --group bench-pathway --output-file requirements/bench-pathway.txt
	$(RUN) -m tests.kafka.prepare --lock

LOCK := .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --no-annotate

# -------------------------------------------------------------------------------------------------- run

.PHONY: demo
demo: $(KERNELS) ## Simulated shoppers against the whole pipeline, in one process
	@.venv/bin/offerstream demo $(ARGS)

.PHONY: kafka
kafka: $(DEV) ## Start a Kafka broker for development on 127.0.0.1:9092, until Ctrl-C
	@$(RUN) -m tests.kafka.serve build/kafka-data --port 9092

# ------------------------------------------------------------------------------------------------ check

.PHONY: test
test: $(DEV) ## Run all tests, on a real Kafka too (ARGS='-k word' for some of them, JOBS=1 in line)
	@$(RUN) -m tests.kafka.prepare || true
	@$(RUN) -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

$(BENCH): $(DEV) requirements/bench.txt
	@echo 'Adding what the benchmark compares with to .venv.'
	@$(INSTALL) --require-hashes -r requirements/bench.txt
	@touch $@

PEERS := $(patsubst %,.venv-bench-%/.ready,bytewax pathway)

.venv-bench-%/.ready: requirements/bench-%.txt | $(BENCH)
	@echo 'Setting $* up for the benchmark, in $(@D): Bytewax takes some 240 MB there, Pathway 1.3 GB.'
	@rm -rf $(@D)
	@{ .venv/bin/uv venv --quiet --python 3.11 $(@D) && .venv/bin/uv pip install --quiet --require-hashes \
	  --only-binary :all: --python $(@D)/bin/python -r $< && touch $@; } || { \
	  rm -rf $(@D); echo '$* could not be installed: the benchmark leaves it out.' >&2; }

CYCLES ?= 5
.PHONY: chaos
chaos: $(DEV) ## Kill workers under load, CYCLES times, and count what came of it (ARGS=--help: more)
	@$(RUN) -m tests.kafka.prepare
	@$(RUN) -m tests.chaos --cycles $(CYCLES) $(ARGS)

.PHONY: audit
audit: $(DEV) ## Check from outside what workers do that are killed (ARGS='--cycles 100', --help: more)
	@$(RUN) -m tests.kafka.prepare
	@$(RUN) -m tests.auditor $(ARGS)

.PHONY: bench
bench: $(BENCH) $(PEERS) ## Measure beside Faust, quixstreams, Bytewax and Pathway (QUICK=1: a small one)
	@$(RUN) -m bench $(if $(QUICK),--quick) $(ARGS)

.PHONY: lint style types imports
lint: style types imports ## Check style, types and the direction of imports

style: $(DEV)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: $(DEV)
	@.venv/bin/mypy

imports: $(DEV)
	@.venv/bin/lint-imports --no-logo

.PHONY: format
format: $(DEV) ## Let ruff mend what it can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

.PHONY: clean
clean: ## Remove what was built, .venv included
	rm -rf .venv .venv-bench-* build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
