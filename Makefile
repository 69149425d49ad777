# The commands of this project. Needs Python 3.11 or 3.12 (with venv) and make; everything else goes into .venv.
VENV ?= .venv
PYTHON ?=
PYTEST_ARGS ?=
ENV_PYTHON := $(VENV)/bin/python
# A stamp carries its file's checksum, so that a change of pins installs and a mere checkout does not.
checksum = $(word 1,$(shell cksum < $(1)))
RUN_STAMP := $(VENV)/.installed-run-$(call checksum,requirements.txt)
DEV_STAMP := $(VENV)/.installed-dev-$(call checksum,requirements-dev.txt)
# Everything that runs is among what development needs, so that `make run` after `make install` installs nothing.
READY_TO_RUN := $(firstword $(wildcard $(DEV_STAMP)) $(RUN_STAMP))
# Tests of one file stay in one process and one after the other; much of the time they wait for real processes. In the
# order of collection, for sorted by their number of tests the files with one long test would all come last.
PYTEST_PROCESSES ?= 3
PYTEST := $(ENV_PYTHON) -m pytest $(PYTEST_ARGS)
PARALLEL := -n $(PYTEST_PROCESSES) --dist loadfile --no-loadscope-reorder
CODE := computenet computenet_client marketplace workers tests benchmarks manage.py

.DEFAULT_GOAL := help
.PHONY: help install run demo test check format test-fast test-sqlite test-postgres test-docs test-browser test-estimators test-versions chaos bench bench-throughput bench-all bench-live bench-table pictures docs lock clean
.NOTPARALLEL:

help: ## Show these lines
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

$(RUN_STAMP): | requirements.txt
	@PYTHON="$(PYTHON)" .ci/venv $(VENV) requirements.txt $@

$(DEV_STAMP): | requirements-dev.txt
	@PYTHON="$(PYTHON)" .ci/venv $(VENV) requirements-dev.txt $@

install: $(DEV_STAMP) ## Set up .venv with everything, for development

run: $(READY_TO_RUN) ## Start the sandbox: the whole network on this machine (PORT=5000, COMPUTENET_HOME=.computenet)
	@$(ENV_PYTHON) manage.py sandbox

demo: $(READY_TO_RUN) ## Watch three workers earn tokens on three jobs, checked against scikit-learn (KEEP=1 leaves it running)
	@$(ENV_PYTHON) manage.py demo

test: check test-sqlite test-postgres test-docs test-browser ## Run everything: checks, both database engines, the docs' commands, the browser
	@echo "All of it passed."

check: $(DEV_STAMP) ## Lint, formatting, types and import rules
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	COMPUTENET_SANDBOX=1 SECRET_KEY=for-types-only $(ENV_PYTHON) -m mypy
	SECRET_KEY=for-imports-only $(VENV)/bin/lint-imports

format: $(DEV_STAMP) ## Put the code into the house's form
	$(VENV)/bin/ruff check --fix $(CODE)
	$(VENV)/bin/ruff format $(CODE)

test-fast: $(DEV_STAMP) ## What needs no processes, on SQLite: for every few minutes of work
	$(PYTEST) $(PARALLEL) -m "not processes and not docs and not browser"

test-sqlite: $(DEV_STAMP) ## The suite on SQLite
	COMPUTENET_TEST_DATABASE=sqlite $(PYTEST) $(PARALLEL) -m "not docs and not browser"

test-postgres: $(DEV_STAMP) ## What uses a database, on a PostgreSQL of its own
	COMPUTENET_TEST_DATABASE=postgres $(PYTEST) $(PARALLEL) -m "not docs and not browser"

test-docs: $(DEV_STAMP) ## The commands that the README shows, run as they stand
	$(PYTEST) tests/docs

test-browser: $(DEV_STAMP) ## Journeys in a real Chromium, where there is one
	$(PYTEST) -n 2 --dist loadfile tests/browser

test-estimators: $(DEV_STAMP) ## All of scikit-learn's own checks on the five estimators, against a running sandbox
	COMPUTENET_ALL_CHECKS=1 $(PYTEST) tests/client/test_estimator_checks.py

chaos: $(DEV_STAMP) ## Kill, crash, wipe, freeze and fill everything, and see that nothing is lost (CHAOS_SCALE=0.05 CHAOS_SEED=1)
	$(ENV_PYTHON) -m tests.chaos

test-versions: ## A lean part of the suite on Python 3.11, 3.12 and 3.13, where they are here
	.ci/versions .versions

bench: $(DEV_STAMP) ## What checking an answer costs beside scikit-learn's own fit, in one run
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(ENV_PYTHON) -m benchmarks.verification

bench-throughput: $(DEV_STAMP) ## Small jobs a second from submission to payment, beside bare Celery's tasks that do nothing
	$(ENV_PYTHON) -m benchmarks.throughput

bench-all: $(DEV_STAMP) ## Everything that is measured, beside what it is held against (BENCH_ARGS="--small --json")
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(ENV_PYTHON) -m benchmarks.everything $(BENCH_ARGS)

bench-live: $(DEV_STAMP) ## What 200 open pages cost while 20 jobs a second end, for 5 minutes; then 1,000 pages
	$(ENV_PYTHON) -m benchmarks.live

bench-table: $(DEV_STAMP) ## A messy table of 3 GB, CSV and Parquet, through everything: memory of each process, answers (BENCH_ARGS="--small")
	$(ENV_PYTHON) -m benchmarks.big_table $(BENCH_ARGS)

pictures: $(DEV_STAMP) ## Pictures of every page, light and dark, wide and narrow, into docs/images/
	$(ENV_PYTHON) -m tests.browser.pictures

docs: $(DEV_STAMP) ## The pages that are made from the code: docs/settings.md and docs/api.md
	$(ENV_PYTHON) -m computenet.reference > docs/settings.md
	COMPUTENET_SANDBOX=1 SECRET_KEY=for-the-schema-only $(ENV_PYTHON) manage.py spectacular --format openapi-json \
	  | $(ENV_PYTHON) -m computenet.api_reference > docs/api.md

lock: $(DEV_STAMP) ## Pin the newest versions that the .in files allow
	for name in requirements requirements-dev workers/requirements; do \
	  $(ENV_PYTHON) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-header $$name.in -o $$name.txt || exit 1; \
	done

clean: ## Remove .venv, caches and the sandbox's data
	rm -rf $(VENV) .versions .computenet .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
