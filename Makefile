# Everything installs what it needs into .venv first. Needs Python 3.11 or newer, git and make. Programs are started as
# modules: the first line of their scripts cannot name a Python in every folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The environment's own programs come first: `mlflow run` and the experiments start others by name.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONUNBUFFERED := 1

.PHONY: demo check test reliability lint mlproject pages ui report server install

demo: install
	python -m pipelines main --preset demo

# Workers of the tests, each with whole files of them. One after the other, as a debugger needs them: make PARALLEL= test
PARALLEL ?= -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The loop of whoever changes a line: a minute. `make test` is everything.
check: lint
	python -m pytest $(PARALLEL) -m "not slow and not medium"

test: install
	python -m pytest $(PARALLEL)

# Runs the tests of the matrix of faults, and writes their results into the page.
reliability: install
	python -m pytest -m fault --reliability=docs/reliability.md

# After an option was added or changed.
mlproject: install
	python -m pipelines.cli.mlproject pipelines analysis:compare,report > MLproject

# After results were stored, or a help text was changed.
pages: install
	python -m analysis readme
	python -m nnreg.reference > docs/reference.md

lint: install
	python -m ruff check .
	python -m ruff format --check .
	python -m mypy

ui: install
	python -m analysis ui

# A shared server of MLflow and Optuna. Further actions: make server-stop, server-status, server-backup FILE=server.tar,
# server-restore FILE=server.tar, server-upgrade. HOST, PORT, DATABASE_PORT: where it listens.
SERVER := $(strip $(if $(FILE),--file $(FILE)) $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) \
	$(if $(DATABASE_PORT),--database-port $(DATABASE_PORT)))
server: server-start

server-%: install
	python -m nnreg server $* $(SERVER)

report: install
	python -m analysis report --output report

install: $(VENV)/.installed

# constraints.txt: the versions that the README's figures were made with. For others: make CONSTRAINTS= demo
CONSTRAINTS ?= constraints.txt
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	touch $@
