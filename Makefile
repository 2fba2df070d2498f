# Two commands: `make run` and `make test`. Everything else supports them.
#
#   PORT=8000 DATA_DIR=data   the port to listen on, and the folder for all state
#   LIGHT=1                   skip torch and its dependencies: everything works except training the accurate model
#   PYTHON=python3.12         the Python that creates the environment (3.11 or later)
#   VENV=.venv  UV=           another folder for the environment; an empty UV installs with pip only
#   JOBS=2                    the number of test processes (default: one per core; 0: no extra processes)
#   COVERAGE=1                measure the coverage of the tests; takes a third more processor time

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run demo check-pythons install test faults fuzz simulate load capacity contact-sheet lint check lock sbom audit docs clean

PYTHON ?= python3
VENV ?= .venv
UV ?= $(shell command -v uv)
LIGHT ?=
COVERAGE ?=
# nproc obeys OMP_NUM_THREADS, which limits the threads of each process, not their number.
JOBS ?= $(shell env -u OMP_NUM_THREADS nproc)
SET := $(if $(filter-out 0,$(LIGHT)),core,train)
IN := $(abspath $(VENV))/bin

export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# Python keeps what it compiled, whatever the caller's environment says: a system is many processes.
export PYTHONDONTWRITEBYTECODE :=

help:
	@echo "make run      install the requirements and run the whole system (PORT, DATA_DIR, LIGHT=1)"
	@echo "make demo     the same with drawn eyes, made-up people and a full queue, in DATA_DIR or demo-data"
	@echo "make test     install the test requirements and run the tests (ARGS=... goes to pytest)"
	@echo "make check    make lint, then make test"
	@echo "make check-pythons  the tests on Python 3.11, 3.12 and 3.13 of pyenv or the PATH"
	@echo "make lint     ruff, mypy, lint-imports, hadolint, migrations, deploy check"
	@echo "make faults   kill the web process a thousand times, and other long tests"
	@echo "make fuzz     send 100,000 broken photos"
	@echo "make simulate check the promises of automatic answers, the release gates and drift in many simulated clinics"
	@echo "make load     measure the throughput of whole systems (ARGS=... goes to manage.py load)"
	@echo "make capacity simulate larger installations from what an upload costs (ARGS=... goes to manage.py capacity)"
	@echo "make contact-sheet  run the browser tests and put their pictures of every page on one page"
	@echo "make lock     update the locked requirements"
	@echo "make sbom     write software bills of materials (CycloneDX) of the images and the starter to sbom/"
	@echo "make audit    look the locked requirements up among the known vulnerabilities (needs the network)"
	@echo "make docs     regenerate docs/file-tree.md and docs/settings.md"
	@echo "make clean    remove the environment and the caches, never the data"

run: $(VENV)/.$(SET)
	@exec $(IN)/python manage.py up --setup

demo: $(VENV)/.$(SET)
	@exec $(IN)/python manage.py demo

install: $(VENV)/.$(SET)

# COVERAGE=1 also measures coverage and fails below `fail_under` in pyproject.toml; `coverage report` lists the lines.
test: $(VENV)/.dev
	$(IN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal $(if $(filter-out 0,$(COVERAGE)),--cov --cov-report=) $(ARGS)

# The runs of minutes that kill or starve processes, and the long versions of some tests: more crashes, promotions and
# racing readers, every page for every pair of roles, and the whole loop on every store.
LONG := tests/faults tests/ml/test_batching.py tests/review/test_races.py tests/review/test_blind_roles.py tests/meta/test_audit.py tests/meta/test_growth.py tests/meta/test_load.py tests/predictions/test_patient_speed.py tests/flows/test_loop.py tests/browser/test_loop.py tests/training/test_encoder_change.py tests/training/test_parallel_runs.py tests/predictions/test_migrations.py tests/review/test_lookback.py
faults: $(VENV)/.dev
	CRASHES=500 PROMOTIONS=200 RACING_CASES=1000 EVERY_STORE=1 LARGE_ENCODER=1 BLIND_WALK=full $(IN)/python -m pytest $(LONG) -m "" -k "not fuzz" $(ARGS)

fuzz: $(VENV)/.dev
	FUZZ=100000 $(IN)/python -m pytest tests/faults/test_fuzz.py $(ARGS)

# The two promises of automatic answers, the errors of the release gates, and how drift is found, in simulated clinics.
simulate: $(VENV)/.dev
	SIMULATIONS=2000 $(IN)/python -m pytest tests/ml/test_risk.py tests/ml/test_paired.py -k "test_risk or hold or rarely" -s --timeout=1800 $(ARGS)
	DRIFT_YEARS=30 DRIFT_SHIFTS=100 $(IN)/python -m pytest tests/ml/test_drift.py -k "simulated" -s --timeout=3600 $(ARGS)

# Starts whole systems on 127.0.0.1 and deletes them afterwards.
load: $(VENV)/.core
	$(IN)/python manage.py load $(ARGS)

# Uploads that come at random to installations of 1 to 32 cores, simulated (docs/capacity.md).
capacity: $(VENV)/.core
	$(IN)/python manage.py capacity $(ARGS)

check: lint test

# Every supported Python, each in an environment of its own: the tests without browser and faults. The interpreters come
# from pyenv, or from the PATH.
PYTHONS := 3.11 3.12 3.13
check-pythons:
	@for version in $(PYTHONS); do \
	  found=$$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python 2>/dev/null | sort -V | tail -n 1 || true); \
	  found=$${found:-$$(command -v python$$version || true)}; \
	  [ -n "$$found" ] || { echo "Python $$version is not installed (pyenv install $$version)."; exit 1; }; \
	  echo "== $$($$found --version)"; \
	  $(MAKE) --no-print-directory test PYTHON="$$found" VENV=".venv-$$version" ARGS='-m "not fault and not browser and not slow" $(ARGS)'; \
	done

# .pre-commit-config.yaml calls the same targets. Those that load the settings do so in a temporary data folder.
LINTS := lint-ruff lint-format lint-mypy lint-imports lint-dockerfile lint-migrations lint-deploy
IN_SCRATCH = folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; export DATA_DIR="$$folder"; set -x
.PHONY: $(LINTS)

lint: $(LINTS)

$(LINTS): $(VENV)/.dev

lint-ruff:
	$(IN)/ruff check .

lint-format:
	$(IN)/ruff format --check .

lint-mypy:
	@$(IN_SCRATCH); $(IN)/mypy .

lint-imports:
	$(IN)/lint-imports

lint-dockerfile:
	$(IN)/hadolint Dockerfile

lint-migrations:
	@$(IN_SCRATCH); $(IN)/python manage.py makemigrations --check --dry-run

lint-deploy:
	@$(IN_SCRATCH); \
	PRODUCTION=1 SECRET_KEY="$$(head -c 48 /dev/urandom | base64 -w0)" ALLOWED_HOSTS=screening.example \
	DATABASE_URL=postgres://user@localhost/name REDIS_URL=redis://localhost/0 \
	$(IN)/python manage.py check --deploy --fail-level WARNING

# The environment. A stamp file per set of requirements: a second start installs nothing.
$(VENV)/bin/python:
	@echo "Creating the environment in $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is required; choose one with PYTHON=...")'
	@if [ -n "$(UV)" ]; then $(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	else $(PYTHON) -m venv $(VENV) && { $(IN)/pip install --quiet --require-hashes -r requirements/uv.txt \
	|| echo "uv unavailable; falling back to pip (slower)."; }; fi

define install
	@echo "Installing requirements: $(1) ..."
	@if [ -n "$(UV)" ]; then $(UV) pip install --quiet --python $(IN)/python --require-hashes $(2); \
	elif [ -x $(IN)/uv ] && [ "$(origin UV)" != "command line" ]; then $(IN)/uv pip install --quiet --python $(IN)/python --require-hashes $(2); \
	else $(IN)/pip install --quiet --require-hashes $(2); fi
	@touch $@
endef

$(VENV)/.core: requirements/core.txt | $(VENV)/bin/python
	$(call install,core,-r requirements/core.txt)

$(VENV)/.train: requirements/train.txt | $(VENV)/bin/python
	$(call install,core and train,-r requirements/train.txt)
	@touch $(VENV)/.core

$(VENV)/.dev: requirements/train.txt requirements/dev.txt | $(VENV)/bin/python
	$(call install,core and train and dev,-r requirements/train.txt -r requirements/dev.txt)
	@touch $(VENV)/.core $(VENV)/.train

# The pictures of every page at 360 and 1280 px in both themes, on one page to look at: build/contact-sheet/index.html.
contact-sheet: $(VENV)/.dev
	rm -rf build/contact-sheet
	SCREENSHOTS_DIR=build/contact-sheet $(IN)/python -m pytest tests/browser -q
	$(IN)/python -m tests.browser.contact_sheet build/contact-sheet
$(VENV)/.audit: requirements/core.txt requirements/audit.txt | $(VENV)/bin/python
	$(call install,core and audit,-r requirements/core.txt -r requirements/audit.txt)
	@touch $(VENV)/.core

# With hashes and without index addresses: uv and pip install the same files from the configured index.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --generate-hashes
lock:
	$(COMPILE) pyproject.toml -o requirements/core.txt
	$(COMPILE) pyproject.toml --extra train -c requirements/core.txt -o requirements/train.txt
	$(COMPILE) pyproject.toml --extra ray -c requirements/core.txt -c requirements/train.txt -o requirements/ray.txt
	$(COMPILE) pyproject.toml --extra s3 -c requirements/core.txt -c requirements/train.txt -c requirements/ray.txt -o requirements/s3.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements/core.txt -c requirements/train.txt -c requirements/ray.txt -c requirements/s3.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra audit -c requirements/core.txt -c requirements/train.txt -c requirements/dev.txt -o requirements/audit.txt
	echo uv | $(COMPILE) - -o requirements/uv.txt

# What is in the two images (docker/ and requirements/) and in the starter release: weights, and the data behind them.
sbom: $(VENV)/.audit
	mkdir -p sbom
	$(IN)/cyclonedx-py requirements requirements/core.txt --pyproject pyproject.toml --output-reproducible --of JSON -o sbom/web.cdx.json
	$(IN)/cyclonedx-py requirements requirements/train.txt --pyproject pyproject.toml --output-reproducible --of JSON -o sbom/trainer.cdx.json
	@$(IN_SCRATCH); $(IN)/python manage.py release_bom --starter > sbom/starter.cdx.json

# Critical findings are fixed within 7 days, others within 30 (docs/security.md).
audit: $(VENV)/.audit
	$(IN)/pip-audit --disable-pip --require-hashes -r requirements/core.txt -r requirements/train.txt

docs: $(VENV)/.core
	$(IN)/python docs/file_tree.py
	$(IN)/python docs/settings_table.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
