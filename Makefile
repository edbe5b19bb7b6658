# A machine with Python 3.11 or newer, make and the package registry is enough: .venv is made on first use.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.made
PYTEST := $(BIN)/python -P -m pytest

# The tests start the program hundreds of times; each start would compile it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: venv demo test lint bench faults screenshot clean

venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "coopdeck needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: venv
	$(BIN)/coopdeck demo

# What waits for the machine comes alone; what only computes shares its cores.
test: venv
	$(PYTEST) -m "not bench" tests/e2e tests/faults
	$(PYTEST) -m "not bench" -n auto tests/unit tests/property tests/pilot tests/snapshot

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv
	$(PYTEST) -m bench -s tests/bench

faults: venv
	$(BIN)/python -P -m tests.faults

screenshot: venv
	$(BIN)/python -P -m tests.screenshot

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
