# make demo: watch the cache work. make test: every check that CI runs. Both set themselves up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help demo test lint types unit bench results clean

help:
	@echo "make demo   two gateway nodes, a simulated Requesty, real SDK traffic: under two minutes"
	@echo "make test   lint, types, layers, tests"
	@echo "make bench  micro benchmarks, written to benchmarks/results"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python >= 3.11 is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-ready: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.dev-ready: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip check
	@touch $@

demo: $(VENV)/.demo-ready
	@$(BIN)/tiered-cache demo $(DEMO)

test: lint types unit

lint: $(VENV)/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --config pyproject.toml

types: $(VENV)/.dev-ready
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: $(VENV)/.dev-ready
	$(BIN)/pytest $(PYTEST)

bench: $(VENV)/.dev-ready
	$(BIN)/python -m benchmarks.micro.run

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
