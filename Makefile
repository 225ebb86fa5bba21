# Two set-up commands for newcomers (demo, test); thin names for the checks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test test-slow lint wheel-test clean

demo: $(INSTALLED)
	$(BIN)/reactkd_demo -w reactkd_workspace/demo

test: $(INSTALLED) lint wheel-test
	$(BIN)/python -m pytest

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Builds the wheel, installs it beside nothing else, and uses it from outside the checkout.
wheel-test: $(INSTALLED)
	rm -rf build dist .venv-wheel
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt "$$(echo dist/*.whl)[dicom]"
	cd / && $(CURDIR)/.venv-wheel/bin/python -P $(CURDIR)/tests/wheel_smoke.py

$(INSTALLED): setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python $$($(PYTHON) -V 2>&1) found, expected >= 3.11; use make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .venv-wheel build dist *.egg-info
