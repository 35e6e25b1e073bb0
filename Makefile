# Every target makes what it needs: a virtual environment in .venv with exactly the pinned packages.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test lint types fmt cov bench check mutants defences fuzz vectors clean

setup: $(READY)

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/tenge demo

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

fmt: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cov: setup
	$(BIN)/python -m pytest --cov --cov-report=term --cov-fail-under=90

bench: setup
	$(BIN)/tenge bench

mutants: setup
	$(BIN)/python -m tests.mutants

defences: setup
	$(BIN)/python -m tests.defences

fuzz: setup
	$(BIN)/python -m tests.fuzz

vectors: setup
	$(BIN)/python tests/vectors/regenerate.py

check: lint types cov

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
