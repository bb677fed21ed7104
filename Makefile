# make demo · make test · make ui — each makes the environment first, from the complete lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)

# The runs of `memory materialize` and those of the UI are kept in one place.
UI_HOME := $(abspath $(or $(MEMORY_HOME),.memory))/dagster

.PHONY: setup demo test ui lint clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	# torch first: with it in place nothing pulls the build for GPUs of a newer one
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	rm -f $(VENV)/.installed-*
	touch $(STAMP)

demo: setup
	$(BIN)/memory demo

test: setup
	$(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: setup
	mkdir -p "$(UI_HOME)" && cp dagster.yaml "$(UI_HOME)/dagster.yaml"
	DAGSTER_HOME="$(UI_HOME)" $(BIN)/dagster dev

clean:
	rm -rf $(VENV) .memory
