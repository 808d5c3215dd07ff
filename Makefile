# privkd: `make demo` and `make test` need Python 3.11+, make and a package index; nothing else.
# All paths are relative, so a checkout in a path with spaces works.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP_ARGS ?=
WORKERS ?= 2
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test proofs gpu lint types docs notebooks clean

demo: $(VENV)/.installed
	$(ONE_THREAD) $(BIN)/privkd demo --out out/demo

test: $(VENV)/.developer
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --durations=10 -m "not proof" tests
	$(ONE_THREAD) $(BIN)/python -m pytest -q --doctest-modules --doctest-glob='*.md' accountants privkd generators docs README.md

proofs: $(VENV)/.developer
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --durations=10 -m proof tests

# Installs nothing and asks no network: for a machine that has an accelerator, torch and scikit-learn, for eight minutes.
gpu:
	@tested=0; if $(PYTHON) -c 'import pytest' 2>/dev/null; \
	then PYTHONPATH=. timeout 240 $(PYTHON) -m pytest -p no:cacheprovider --continue-on-collection-errors -m gpu tests || tested=$$?; \
	else echo 'pytest is not installed for $(PYTHON): the tests that need an accelerator are left out'; fi; \
	PYTHONPATH=. timeout 240 $(PYTHON) benchmarks/gpu.py --budget 220 --out results/gpu.json && exit $$tested

lint: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.developer
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.developer
	$(BIN)/mkdocs build --strict --quiet

notebooks: $(VENV)/.developer
	$(BIN)/jupytext --quiet --to ipynb notebooks/*.py
	$(ONE_THREAD) $(BIN)/python -m pytest -q --nbmake notebooks/*.ipynb

clean:
	rm -rf $(VENV) site out results

# Stamps: a second `make` installs nothing, and works offline.
$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Setting up: this downloads PyTorch once and takes a minute or two."
	$(PIP) -e .
	touch $@

$(VENV)/.developer: $(VENV)/.installed
	@echo "Setting up the test tools."
	$(PIP) -e '.[test,lint,docs,notebooks]'
	touch $@
