# `make demo` and `make test` need Python 3.11 or later and a package index, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A third less time than in one process.
IN_PARALLEL := --numprocesses 2 --dist worksteal

.PHONY: demo test test-all test-others lint bench docs clean

demo: $(VENV)/ready
	$(BIN)/python -m examples.downloader

test: lint
	$(BIN)/python -m pytest $(IN_PARALLEL)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The suite on every other supported interpreter that is found, free-threaded ones included.
test-all: test test-others

test-others: $(VENV)/ready
	$(BIN)/python -m tests.other_interpreters $(IN_PARALLEL)

bench: $(VENV)/ready
	$(BIN)/python -m benchmarks

docs: $(VENV)/docs-ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(VENV)/ready: pyproject.toml compat/worker/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[rich]' --editable compat/worker --group test --group lint
	# The tests of Textual's workers, which our own must pass, are in its source distribution.
	-$(BIN)/python -m pip download --quiet --no-deps --no-binary textual --dest $(VENV)/sdists \
	    textual==$$($(BIN)/python -c 'import importlib.metadata as m; print(m.version("textual"))')
	touch $@

$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

clean:
	rm -rf $(VENV) site dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
