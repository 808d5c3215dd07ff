# privkd: `make demo` and `make test` need Python 3.11+, make and a package index; nothing else.
# All paths are relative, so a checkout in a path with spaces works.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP_ARGS ?=
WORKERS ?= 2
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test proofs lint types docs notebooks clean

demo: $(VENV)/.installed
	$(ONE_THREAD) $(BIN)/privkd demo --out out/demo

test: $(VENV)/.developer
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --durations=10 -m "not proof" tests
	$(ONE_THREAD) $(BIN)/python -m pytest -q --doctest-modules --doctest-glob='*.md' accountants privkd generators docs README.md

proofs: $(VENV)/.developer
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --durations=10 -m proof tests

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
