# Two commands: `make run` and `make test`. Everything else helps them.
#
#   PORT=8000 DATA_DIR=data   where the system listens and where it keeps all of its state
#   LIGHT=1                   leaves out torch and what comes with it: all works but training the accurate model
#   PYTHON=python3.12         which Python makes the environment (3.11 or later)
#   VENV=.venv  UV=           another place for the environment; an empty UV installs with pip alone
#   JOBS=2                    how many processes share the tests (default: one a core; 0: none but pytest's own)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run install test faults fuzz load lint check lock tree clean

PYTHON ?= python3
VENV ?= .venv
UV ?= $(shell command -v uv)
LIGHT ?=
# nproc heeds OMP_NUM_THREADS, which says something else here.
JOBS ?= $(shell env -u OMP_NUM_THREADS nproc)
SET := $(if $(filter-out 0,$(LIGHT)),core,train)
IN := $(abspath $(VENV))/bin

export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

help:
	@echo "make run      install what is missing and run the whole system (PORT, DATA_DIR, LIGHT=1)"
	@echo "make test     install what tests need and run them (ARGS=... goes to pytest)"
	@echo "make check    make lint, then make test"
	@echo "make faults   kill the web process a thousand times; make fuzz sends 100,000 broken photos"
	@echo "make load     photos a second of whole systems, plain and scaled out (ARGS=... goes to manage.py load)"
	@echo "make lint     ruff, format, mypy, lint-imports, migrations, deploy check"
	@echo "make lock     resolve the requirements anew"
	@echo "make tree     write the file tree of the README anew"
	@echo "make clean    remove the environment and the caches, never the data"

run: $(VENV)/.$(SET)
	@exec $(IN)/python manage.py up --setup

install: $(VENV)/.$(SET)

test: $(VENV)/.dev
	$(IN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal $(ARGS)

# The long forms of two tests: a thousand crashes, a hundred thousand broken photos.
faults: $(VENV)/.dev
	CRASHES=500 $(IN)/python -m pytest tests/faults -k "not fuzz" $(ARGS)

fuzz: $(VENV)/.dev
	FUZZ=100000 $(IN)/python -m pytest tests/faults/test_fuzz.py $(ARGS)

# Whole systems on 127.0.0.1, thrown away afterwards.
load: $(VENV)/.core
	$(IN)/python manage.py load $(ARGS)

check: lint test

# Nothing below reads or writes the data of a real system.
lint: export DATA_DIR := $(shell mktemp -d)
lint: $(VENV)/.dev
	@trap 'rm -rf "$$DATA_DIR"' EXIT; \
	set -x; \
	$(IN)/ruff check .; \
	$(IN)/ruff format --check .; \
	$(IN)/mypy .; \
	$(IN)/lint-imports; \
	$(IN)/hadolint Dockerfile; \
	$(IN)/python manage.py makemigrations --check --dry-run; \
	PRODUCTION=1 SECRET_KEY="$$(head -c 48 /dev/urandom | base64 -w0)" ALLOWED_HOSTS=screening.example \
	DATABASE_URL=postgres://nobody@localhost/nothing REDIS_URL=redis://localhost/0 \
	$(IN)/python manage.py check --deploy --fail-level WARNING

# The environment: one stamp a set, so that a second start installs nothing.
$(VENV)/bin/python:
	@echo "Making the environment in $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; PYTHON=... says which.")'
	@if [ -n "$(UV)" ]; then $(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	else $(PYTHON) -m venv $(VENV) && { $(IN)/pip install --quiet --require-hashes -r requirements/uv.txt \
	|| echo "uv is not to be had; pip installs, which takes longer."; }; fi

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

# Hashes, and no addresses: the same files serve uv and pip, from whatever index is configured.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --generate-hashes
lock:
	$(COMPILE) pyproject.toml -o requirements/core.txt
	$(COMPILE) pyproject.toml --extra train -c requirements/core.txt -o requirements/train.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements/core.txt -c requirements/train.txt -o requirements/dev.txt
	echo uv | $(COMPILE) - -o requirements/uv.txt

tree: $(VENV)/.core
	$(IN)/python docs/file_tree.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
