# The environments are made here, with pinned versions, by any Python from 3.11 to 3.13 that has pip and venv.
PYTHON ?= python3

VENV := .venv
VENV_JAX := .venv-jax
VENV_TORCH := .venv-torch
VENV_DOCS := .venv-docs
STAMP := $(VENV)/.installed
STAMP_JAX := $(VENV_JAX)/.installed
STAMP_TORCH := $(VENV_TORCH)/.installed
STAMP_DOCS := $(VENV_DOCS)/.installed

# What is imported is compiled once and kept: else each process compiles all of TensorFlow, which takes seven seconds.
unexport PYTHONDONTWRITEBYTECODE

# The tests that need no TensorFlow: layers, models and everything else that is written in keras.ops alone.
ANY_BACKEND := tests/layers tests/models tests/decoding tests/test_masks.py tests/test_losses.py \
	tests/test_arguments.py tests/test_layouts.py tests/test_metrics.py tests/saving/test_quantization.py tests/saving/test_layer_paths.py \
	tests/test_schedules.py

COMPILE := $(VENV)/bin/pip-compile --quiet --strip-extras --allow-unsafe --no-header --annotation-style line \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

# TensorFlow 2.21 is built for Python 3.11 to 3.13: say so before pip says "no matching distribution".
CHECK_PYTHON := $(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or \
	sys.exit(f"Python 3.11, 3.12 or 3.13 is needed. Received: {sys.version.split()[0]}. Try: make PYTHON=python3.12")'

.PHONY: help install quickstart test test-slow test-jax test-torch docs lint format constraints clean

help:
	@echo "make install      the environment .venv with the command keras-transformer, and nothing run"
	@echo "make quickstart   train, export and ask a small translator (about three minutes)"
	@echo "make test         all tests but the slow ones"
	@echo "make test-slow    the slow ones, before a release"
	@echo "make test-jax     layers, models, losses and decoding on JAX, without TensorFlow"
	@echo "make test-torch   the same on PyTorch"
	@echo "make docs         the documentation as a site in build/website/site; runs its notebooks (minutes)"
	@echo "make lint         ruff check and ruff format --check"
	@echo "make format       ruff format and the fixes ruff can make"
	@echo "make constraints  pin the newest versions that setup.py and requirements/*.in allow"
	@echo "make clean        remove the environments and the caches"

# The file is removed first: an environment of which half is installed must not count as made.
$(STAMP): requirements/constraints.txt setup.py
	@$(CHECK_PYTHON)
	@rm -f $@
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r $<
	PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@

$(STAMP_JAX): requirements/constraints-jax.txt
	@rm -f $@
	$(PYTHON) -m venv $(VENV_JAX)
	$(VENV_JAX)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(STAMP_TORCH): requirements/constraints-torch.txt
	@rm -f $@
	$(PYTHON) -m venv $(VENV_TORCH)
	$(VENV_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(STAMP_DOCS): requirements/constraints-docs.txt
	@rm -f $@
	$(PYTHON) -m venv $(VENV_DOCS)
	$(VENV_DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

install: $(STAMP)
	@echo "$(VENV)/bin/keras-transformer --help"
	@echo ". $(VENV)/bin/activate    # then: keras-transformer, python, tensorboard"

quickstart: $(STAMP)
	$(VENV)/bin/python -m examples.quickstart

test: $(STAMP)
	$(VENV)/bin/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)
	$(VENV)/bin/python -m pytest -m slow

test-jax: $(STAMP_JAX)
	KERAS_BACKEND=jax $(VENV_JAX)/bin/python -m pytest -m "not slow" $(ANY_BACKEND)

test-torch: $(STAMP_TORCH)
	KERAS_BACKEND=torch $(VENV_TORCH)/bin/python -m pytest -m "not slow" $(ANY_BACKEND)

docs: $(STAMP) $(STAMP_DOCS)
	$(VENV_DOCS)/bin/python -m website.build

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(STAMP)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

constraints: $(STAMP)
	$(COMPILE) --upgrade --extra all --output-file requirements/constraints.txt setup.py
	$(COMPILE) --upgrade --output-file requirements/constraints-jax.txt requirements/jax.in
	$(COMPILE) --upgrade --output-file requirements/constraints-torch.txt requirements/torch.in
	$(COMPILE) --upgrade --output-file requirements/constraints-docs.txt requirements/docs.in
	sed -i 's/^\(torch==[^+ ]*\)+cpu/\1/' requirements/constraints-torch.txt  # a name that not every index has

clean:
	rm -rf $(VENV) $(VENV_JAX) $(VENV_TORCH) $(VENV_DOCS) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
