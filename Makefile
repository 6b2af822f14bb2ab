# Everything a developer or a CI job needs. `make` alone lists the targets.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup brokers run test test-slow test-archive coverage mutants mutation mutation-sql model outsiders fuzz cluster soak soak-page nightly lint docs catalogues configuration corpus \
	bench bench-ingress bench-latency bench-scale bench-console load containers test-containers forgeries attacks deploy-check sbom clean

UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements-uv.txt)
UV := .ratchet/tools/uv-$(UV_VERSION)/bin/uv
BIN := .venv/bin
STAMP := .venv/.locked

# Where this is set, every process that is started compiles all that it imports anew: four fifths of its start.
export PYTHONDONTWRITEBYTECODE :=

# Each worker of the tests has brokers of its own (half a gigabyte); a file's tests run on one worker, in order. Tests wait
# for brokers now and then, so that three workers keep two cores busy.
WORKERS ?= 3
# Outages, storms and benches take all cores by themselves, and wait for what is promised within seconds.
SLOW_WORKERS ?= 1
# Where programs of the tests find each other and what they share.
HELPERS := tests:tests/support
BY_FILE := --dist loadfile --no-loadscope-reorder
# COVERAGE=1 measures what the tests reach, which takes a third longer; `make coverage` then holds the gates.
MEASURE := $(if $(COVERAGE),--cov --cov-report= --cov-fail-under=0)

# The pure modules: what decides, and reads and writes nothing.
PURE := schemas/*,providers/*,$(shell printf 'consumer/%s.py,' adoption children copies customer decode disputes entries facts_json fetched fold framings grouping intents ledger \
	merging offsets payment_attempts plain plan planner recalled refunds resolve rows tally ties verdict)

# The first Python that is new enough. Evaluated only where it is used.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with the locked dependencies (nothing to do when they are there)

# What is shown goes to standard error: standard output belongs to the command that was asked for.
$(UV):
	@test -n "$(PYTHON)" || { echo "ratchet: Python 3.11 or newer is needed; python3 is" \
		"$$(python3 --version 2>&1). Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "ratchet: installing uv $(UV_VERSION) into .ratchet/tools" >&2
	@rm -rf .ratchet/tools/uv-$(UV_VERSION) && mkdir -p .ratchet/tools
	@$(PYTHON) -m venv .ratchet/tools/uv-$(UV_VERSION) >&2 || { rm -rf .ratchet/tools/uv-$(UV_VERSION); \
		echo "ratchet: $(PYTHON) cannot make environments; install its venv package (Debian: python3-venv)" >&2; exit 1; }
	@.ratchet/tools/uv-$(UV_VERSION)/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --require-hashes -r requirements-uv.txt >&2 || { rm -rf .ratchet/tools/uv-$(UV_VERSION); exit 1; }

# uv knows nothing of pip's configuration; where only that names an index, pip installs the same locked files.
$(STAMP): uv.lock pyproject.toml | $(UV)
	@echo "ratchet: installing the locked dependencies into .venv" >&2
	@$(UV) sync --quiet --frozen --all-extras --no-extra archive --all-groups --no-python-downloads $(if $(PYTHON),--python $(PYTHON)) >&2 || \
		{ echo "ratchet: uv cannot reach the index; trying pip with the same lock" >&2; \
		rm -rf .venv && $(PYTHON) -m venv .venv && \
		$(UV) export --quiet --frozen --all-extras --no-extra archive --all-groups --no-emit-project -o .ratchet/tools/locked.txt && \
		$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r .ratchet/tools/locked.txt >&2 && \
		$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . >&2; }
	@touch $@

# pyarrow is larger than most of the rest together and serves one command: what needs it asks for it.
ARROW := .venv/.with-archive
$(ARROW): $(STAMP)
	@echo "ratchet: installing pyarrow (55 MB) for the archive" >&2
	@$(UV) sync --quiet --frozen --inexact --all-extras --all-groups --no-python-downloads >&2 || \
		{ $(UV) export --quiet --frozen --no-default-groups --extra archive --no-emit-project -o .ratchet/tools/archive.txt && \
		$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r .ratchet/tools/archive.txt >&2; }
	@touch $@

brokers: $(STAMP) ## fetch and prepare the embedded brokers (43 MB, once)
	@$(BIN)/python -m runtime.stack

run: $(STAMP) ## start everything and post the sample; ONCE=1 stops when it is processed and prints JSON
	@$(BIN)/ratchet up $(if $(ONCE),--once --json)

test: brokers ## the tests of every change, in parallel; ARGS="-k ingress" narrows them
	@$(BIN)/pytest -n $(WORKERS) $(BY_FILE) -m "not slow" $(MEASURE) $(ARGS)

test-slow: brokers ## what is long by nature: outages, kill storms, scale, bench, browser
	@$(BIN)/pytest -n $(SLOW_WORKERS) $(BY_FILE) -m slow $(MEASURE) $(if $(COVERAGE),--cov-append) $(ARGS)

test-archive: brokers $(ARROW) ## the ledger's archive, with pyarrow, which `make setup` leaves out; ARGS="-m 'not slow'"
	@$(BIN)/pytest -n 0 tests/integration/test_archive.py tests/fault/test_archive_killed.py \
		tests/fault/test_archive_scale.py \
		$(MEASURE) $(if $(COVERAGE),--cov-append) $(ARGS)

nightly: brokers $(ARROW) ## all tests with the long outages and redrives, and many more examples a property; forgeries, fuzz, mutants, both mutations, containers
	@HYPOTHESIS_PROFILE=nightly OUTAGE_SECONDS=30 REDRIVE_LETTERS=9999 $(BIN)/pytest -n $(SLOW_WORKERS) $(BY_FILE) \
		-o timeout=3600 $(ARGS)
	@$(BIN)/python -m ops.bench.forgeries
	@$(MAKE) fuzz SECONDS=600
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m mutants.run --page
	@$(MAKE) mutation
	@$(MAKE) mutation-sql
	@$(MAKE) containers
	@$(MAKE) test-containers ARGS=

mutants: brokers $(ARROW) ## plant each fault of tests/mutants; a test must notice each; ARGS="--quick" needs no brokers
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m mutants.run --jobs $(WORKERS) $(ARGS)

model: brokers ## every interleaving of small worlds on the real Postgres; writes docs/model.md; ARGS="waking locking"
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m model.run $(if $(ARGS),,--page) $(ARGS)

outsiders: brokers ## what others test of webhooks, run against us; writes docs/outsiders.md; ARGS="--offline --without-brokers"
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m outsiders.run --page $(ARGS)

# Without a wheel for this machine the folder is made all the same, and inputs are changed blindly.
ATHERIS := .ratchet/tools/atheris
$(ATHERIS): requirements-fuzz.txt | $(UV)
	@rm -rf $@ && .ratchet/tools/uv-$(UV_VERSION)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes --only-binary=:all: --target $@ -r $< >&2 || echo "ratchet: no atheris for this machine" >&2
	@mkdir -p $@ && touch $@

fuzz: $(STAMP) $(ATHERIS) ## put bytes that nobody thought of to all that reads strangers' bytes; SECONDS=60 ARGS="forms"
	@PYTHONPATH=$(HELPERS):$(ATHERIS) $(BIN)/python -m fuzz.run $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

COSMIC_RAY := .ratchet/tools/cosmic-ray
$(COSMIC_RAY): requirements-mutation.txt | $(UV)
	@rm -rf $@ && .ratchet/tools/uv-$(UV_VERSION)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes --target $@ -r $< >&2 && touch $@

mutation: $(STAMP) $(COSMIC_RAY) ## small changes of the pure modules, each of which a test must notice; MODULE=consumer/fold.py
	@PYTHONPATH=$(HELPERS):$(COSMIC_RAY) $(BIN)/python -m mutation.run $(if $(MODULE),$(MODULE),--page) $(ARGS)

mutation-sql: brokers $(ARROW) $(COSMIC_RAY) ## small changes of the SQL statements, each of which a test must notice; PLACE=consumer/sql
	@PYTHONPATH=$(HELPERS):$(COSMIC_RAY) $(BIN)/python -m sqlmutation.run $(if $(PLACE),$(PLACE),--record --page) $(ARGS)

coverage: $(STAMP) ## the gates on what `make COVERAGE=1 test` measured: 90 % of all branches, 100 % of the pure modules
	@$(BIN)/coverage report
	@$(BIN)/coverage report --include='$(PURE)' --fail-under=100

docs: $(STAMP) ## build the site from all pages, links checked, into .ratchet/site/html; needs no network
	@$(BIN)/python docs/site.py .ratchet/site

catalogues: $(STAMP) ## write docs/providers from the tables of kinds
	$(BIN)/python -m ops.catalogues docs/providers tests/contract/histories

configuration: $(STAMP) ## write docs/configuration.md from the settings
	$(BIN)/python -m ops.configuration_page docs/configuration.md

corpus: $(STAMP) ## read a folder of a provider's payloads, PROVIDER=stripe DIR=..
	@$(BIN)/python -m ops.corpus $(PROVIDER) $(DIR)

lint: $(STAMP) ## style, types, layers, the schema's dump, and that every test module can be imported
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m runtime.schema_dump --check
	$(BIN)/python tests/importable.py

bench: brokers ## measure against the plain ways of doing it; writes .ratchet/bench.json
	@$(BIN)/python -m ops.bench.run $(ARGS)

bench-ingress: brokers ## signed webhooks a second, beside a bare handler; writes .ratchet/bench-ingress.json
	@$(BIN)/python -m ops.bench.ingress $(ARGS)

bench-latency: brokers ## from the 202 to the committed row; writes .ratchet/bench-latency.json
	@$(BIN)/python -m ops.bench.latency $(ARGS)

bench-scale: brokers ## large ledgers, a hot payment, several consumers, a backlog; writes .ratchet/bench-scale.json
	@$(BIN)/python -m ops.bench.scale $(ARGS)

bench-console: brokers ## each page and command over a million payments; writes .ratchet/bench-console.json
	@$(BIN)/python -m ops.bench.console_pages $(ARGS)

load: brokers ## load a `ratchet up` and compare with the ledger; SHAPE=steady|stair|spike|storm SECONDS=25
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m load.run $(if $(SHAPE),--shape $(SHAPE)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

containers: brokers ## build the image, play compose.yaml on the engine that answers, kill each; writes docs/containers.md; STAND_INS=1
	@PYTHONPATH=$(HELPERS) STAND_INS=$(STAND_INS) $(BIN)/python -m containers.run

test-containers: brokers ## the integration tests on brokers in containers, where an engine answers; ARGS="tests/integration/test_x.py"
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m containers.branch $(ARGS)

cluster: brokers ## break three brokers, two Postgres servers and the network under load; writes docs/faults.md; ARGS="broker_killed"
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m cluster.run $(ARGS)

soak: brokers ## hours of mixed traffic, a role killed now and then; writes docs/soak.md; HOURS=2 RATE=20 KILL_MINUTES=16
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m soak.run $(if $(HOURS),--hours $(HOURS)) $(if $(RATE),--rate $(RATE)) \
		$(if $(KILL_MINUTES),--kill-minutes $(KILL_MINUTES)) $(ARGS)

soak-page: $(STAMP) ## write docs/soak.md and its chart anew from .ratchet/soak.jsonl, or from FILE=
	@PYTHONPATH=$(HELPERS) $(BIN)/python -m soak.page $(or $(FILE),.ratchet/soak.jsonl)

forgeries: $(STAMP) ## a million forged requests a signature scheme; all must be refused
	@$(BIN)/python -m ops.bench.forgeries $(ARGS)

attacks: brokers ## the tests of every weakness in docs/security.md; writes docs/attacks.md; ARGS="--only WORD" narrows them
	@$(BIN)/python tests/attack/report.py $(ARGS)

deploy-check: $(STAMP) ## hold deploy/ against helm, kubeconform, promtool and compose-go, built with Go
	@$(BIN)/python deploy/check.py $(ARGS)

sbom: $(STAMP) $(UV) ## write the bill of materials (CycloneDX) of what is shipped to .ratchet/sbom.json
	@$(UV) export --quiet --frozen --preview-features sbom-export --format cyclonedx1.5 --no-dev --all-extras \
		--output-file .ratchet/sbom.json && echo ".ratchet/sbom.json"

clean: ## remove what was built; ALL=1 also the brokers' data in .ratchet
	@rm -rf .venv .ratchet/tools .ratchet-test .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		.coverage .coverage.* htmlcov dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@$(if $(ALL),rm -rf .ratchet)
