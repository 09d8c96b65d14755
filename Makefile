# Two commands: `make run` opens the app on a demo workspace, `make test` checks everything.
# Both make .venv when there is none; a second call finds it and takes seconds.

PYTHON ?= python3
WORKSPACE ?= demo-workspace
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
PIP_BARE := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP := $(PIP_BARE) --constraint constraints.txt
WORKERS ?= 2

.PHONY: run test lint constraints clean

run: $(VENV)/.installed
	$(BIN)/causalmix demo $(WORKSPACE) --keep
	$(BIN)/causalmix ui --workspace $(WORKSPACE) --port $(PORT) --open

test: lint $(VENV)/.installed-trainers
	$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	  f"CausalMix needs Python 3.11, 3.12 or 3.13; {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing CausalMix into $(VENV) (a few minutes the first time) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing CausalMix with its test tools into $(VENV) (a few minutes the first time) ..."
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.installed

# OLMo-core wants older versions of libraries that the app uses, so it lies in a folder of its own, which one test puts
# before the rest in a process of its own. constraints-trainers.txt pins what differs; the rest is shared (--no-deps).
$(VENV)/.installed-trainers: constraints-trainers.txt $(VENV)/.installed-test
	@echo "Installing OLMo-core into $(VENV)/trainers ..."
	rm -rf $(VENV)/trainers
	$(PIP_BARE) --no-deps --target $(VENV)/trainers --requirement constraints-trainers.txt
	@touch $@

# Renew constraints.txt from the newest versions that resolve together; torch stays where it is pinned.
constraints:
	rm -rf $(VENV)-new && $(PYTHON) -m venv $(VENV)-new
	$(VENV)-new/bin/python -m pip install --quiet --editable '.[test]' "$$(grep '^torch==' constraints.txt)"
	$(VENV)-new/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
	rm -rf $(VENV)-new

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
