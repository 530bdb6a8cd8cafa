# A few commands over ordinary ones: the README shows them for machines without make.
.DEFAULT_GOAL := help
.PHONY: help demo check test app lint docs lock fuzz models

# Any python from 3.10 to 3.13;  make demo PYTHON=python3.12  picks one.
PYTHON ?=
VENV ?= .venv
PY := $(VENV)/bin/python
# Errors are shown; warnings, of extra index folders for instance, would drown what the user looks for.
PIP := $(PY) -m pip install --quiet --quiet --disable-pip-version-check
# The locked set is installed as it stands: no resolver may choose other versions, every file has its hash checked.
LOCKED := $(PIP) --no-deps --require-hashes --requirement
# Installed first, so that no other package chooses the version; a CUDA-free build is chosen by naming its index here.
TORCH ?= torch==2.13.0; python_version >= '3.11'
# The diffusion engine, and so the type check of all rooms, needs Python 3.11.
TYPES = $(PY) -c 'import sys; sys.exit(sys.version_info >= (3, 11))' && echo "types: checked from Python 3.11 on" || $(PY) -m mypy
SUITABLE := import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))

help:
	@echo "make demo   animate the two people of assets/two_people.png on the CPU"
	@echo "make app    open the app at http://127.0.0.1:7860"
	@echo "make check  lint, types and the quick tests: no models, browser, Ray or torchrun"
	@echo "make test   lint, types and all tests"
	@echo "make lint   lint and types only"
	@echo "make fuzz   read 20,000 damaged files"
	@echo "make docs   write docs/reference.md and docs/models.md from the code"
	@echo "make lock   resolve the ranges of pyproject.toml again"

demo: $(VENV)/.installed models
	@mkdir -p demo
	@$(VENV)/bin/fantasyportrait animate assets/two_people.png \
	    --cast 1=motion:talk --cast 2=motion:laugh --duration 6 -o demo/two_people.mp4

app: $(VENV)/.installed models
	@$(PY) app.py

# Everything runs even when one part fails, and pytest's summary is the last thing said.
check: CHOSEN = -m "not (models or long or browser or ray or torchrun or slow or gpu or network or weights)"
check: test
test: $(VENV)/.installed-dev models
	@status=0; \
	$(VENV)/bin/ruff check . || status=1; \
	$(VENV)/bin/ruff format --check . || status=1; \
	{ $(TYPES); } || status=1; \
	$(PY) -m pytest $(CHOSEN) --numprocesses auto --maxprocesses 4 --dist loadfile || status=1; \
	exit $$status

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(TYPES)

fuzz: $(VENV)/.installed-dev
	$(PY) -m tests.hostile.fuzz --count 20000 --seed 1

# For every system and every Python at once; [tool.uv] of pyproject.toml says where a range is overruled.
RESOLVE := pip compile pyproject.toml --quiet --universal --python-version 3.10 --generate-hashes \
    --custom-compile-command "make lock"
GPU := $(foreach extra,wan gguf int8,--extra $(extra))
EXTRAS := $(GPU) $(foreach extra,ray mcp dev,--extra $(extra))
lock: | $(PY)
	@$(PIP) "uv>=0.13"
	$(VENV)/bin/uv $(RESOLVE) --extra app --extra reel $(UPGRADE) --output-file requirements.lock
	$(VENV)/bin/uv $(RESOLVE) --extra app --extra reel $(EXTRAS) $(UPGRADE) --constraints requirements.lock \
	    --output-file requirements-dev.lock
	$(VENV)/bin/uv $(RESOLVE) --extra app --extra reel $(GPU) $(UPGRADE) --constraints requirements-dev.lock \
	    --output-file requirements-gpu.lock

docs: | $(PY)
	$(PY) -m fantasyportrait.cli.reference > docs/reference.md
	$(PY) -m fantasyportrait.cli.model_page > docs/models.md

models: | $(PY)
	@$(VENV)/bin/fantasyportrait weights fetch >/dev/null

$(PY):
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.10; do \
	    if $$python -c '$(SUITABLE)' 2>/dev/null; then \
	        echo "building $(VENV) with $$($$python --version)"; \
	        $$python -m venv $(VENV) && exit 0; \
	        rm -rf $(VENV); \
	        echo "$$python cannot build a virtual environment: on Debian and Ubuntu, apt install python3-venv" >&2; \
	        exit 1; \
	    fi; \
	done; \
	echo "no python from 3.10 to 3.13 was found: install one, or name it with  make PYTHON=..." >&2; exit 1

# A stamp for each set of packages, so that the second run installs nothing.
$(VENV)/.installed: requirements.lock pyproject.toml | $(PY)
	@echo "installing the package and the app (about a minute, once)"
	@$(LOCKED) requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock pyproject.toml | $(PY)
	@echo "installing the package, both engines, the app and the tools for tests (some minutes, once)"
	@$(PIP) "$(TORCH)"
	@$(LOCKED) requirements-dev.lock
	@$(PIP) --no-deps --editable .
	@touch $@ $(VENV)/.installed
