# One command a chore, the same here and in CI. Every target makes the environment it needs.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& echo $$p && break; done)
BIN := .venv/bin
PIP_FLAGS := --quiet --disable-pip-version-check
QUICKSTART := notebooks/01_quickstart.ipynb

.PHONY: demo lab test lint types notebooks tables bench programs checked clean

demo: .venv/.notebook  ## run the quickstart against the simulator and print what streams
	$(BIN)/python notebooks/demo.py $(QUICKSTART)

lab: .venv/.notebook  ## open the quickstart in JupyterLab
	$(BIN)/jupyter lab $(QUICKSTART)

test: checked  ## everything that CI runs
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# side by side: installing takes longest
checked:
	@$(MAKE) --no-print-directory -j4 \
	  lint types .venv-ipykernel6/.done .venv-aider/.done .venv-litellm/.done

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.test
	$(BIN)/mypy

notebooks: .venv/.test  ## run every notebook against the simulator
	$(BIN)/python -m pytest tests/test_notebooks.py

tables: .venv/.test  ## write the tables of options, commands and troubles into the README
	$(BIN)/python -m minimax_magic.ipython.option_table README.md

bench: .venv/.test  ## speed and memory, as ratios to a raw loop in the same run
	$(BIN)/python tests/bench/bench.py $(BENCH_ARGS)

clean:
	rm -rf .venv .venv-ipykernel6 .venv-aider .venv-litellm .artifacts build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/it."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.notebook: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install $(PIP_FLAGS) -e ".[notebook,dashboard]"
	@touch $@

.venv/.test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install $(PIP_FLAGS) -e ".[test]"
	@touch $@ .venv/.notebook

# The kernel tests run on the newest ipykernel, which is in .venv, and on the last of version 6.
.venv-ipykernel6/.done: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/it."; exit 1; }
	$(PYTHON) -m venv .venv-ipykernel6
	.venv-ipykernel6/bin/python -m pip install $(PIP_FLAGS) -e . "ipykernel==6.29.5"
	@touch $@

# Programs that use the same key are tested for real, each in an environment of its own, since they pin
# what they need. Where one cannot be installed its tests are skipped with the reason, and the next
# `make test` tries again.
programs: .venv-aider/.done .venv-litellm/.done

.venv-%/.done:
	@rm -rf .venv-$*; mkdir -p .venv-$*
	@if { $(PYTHON_$*) -m venv .venv-$* \
	&& .venv-$*/bin/python -m pip install $(PIP_FLAGS) $(PACKAGES_$*); } >.venv-$*/install.log 2>&1; \
	then touch $@; \
	else echo "$* is not tested, it cannot be installed: $$(tail -n 1 .venv-$*/install.log)" \
	| tee .venv-$*/why-not.txt; fi

PACKAGES_aider := 'aider-chat==0.86.*'
PACKAGES_litellm := 'litellm>=1.82' 'llm>=0.27'
PYTHON_litellm = $(PYTHON)
# Aider wants a Python below 3.13
PYTHON_aider = $(or $(shell for p in $(PYTHON) python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info >= (3, 13))' 2>/dev/null && echo $$p && break; \
	done),$(PYTHON))
