# Everything runs in .venv, which `make env` makes from constraints.txt (exact versions).
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help env demo check test test-slow docs format clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(STAMP) ## make .venv with the console script `flexkern`

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: env ## train a FlexNet on real digits and show what size its kernels learned
	$(BIN)/flexkern train digits

check: env ## lint, types and style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/style.py src

test: env ## the default tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto

test-slow: env ## all tests, the long ones too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto -m ''

docs: env ## the documentation, in docs/_build/index.html
	$(BIN)/sphinx-build -W -b html docs docs/_build

format: env ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv, caches and runs
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build runs
