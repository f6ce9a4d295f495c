# `make demo` and `make test` are all a fresh Debian or Ubuntu machine needs; each sets up what is missing first.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
HARNESS := $(VENV)/bin/harness
STAMP := $(VENV)/.installed
PYTEST := OMP_NUM_THREADS=1 CURATION_CACHE=$(CURDIR)/.cache/tests $(VENV)/bin/python -m pytest

.PHONY: demo test lint docs vllm engine image images setup clean-venv help

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup image ## run the baseline agent on llava-tiny and name the report
	$(HARNESS) launch

test: setup images ## lint, types, then every test that this machine can run
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@mkdir -p .cache
	@# by file: a file's tests share what took a training to make; containers mostly wait, so their tests run beside the others; what they print comes at the end
	@$(PYTEST) tests/containers $(PYTEST_ARGS) > .cache/tests-with-containers.txt 2>&1 & \
	  beside=$$!; trap 'kill -INT $$beside' INT TERM; \
	  $(PYTEST) -n 2 --dist loadfile tests/contract tests/unit tests/repo $(PYTEST_ARGS); first=$$?; \
	  $(PYTEST) tests/agents tests/gpu $(PYTEST_ARGS); second=$$?; \
	  echo "waiting for the tests with containers (.cache/tests-with-containers.txt)"; \
	  wait $$beside; third=$$?; cat .cache/tests-with-containers.txt; exit $$((first || second || third))

lint: setup ## ruff and mypy only
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: setup ## write the generated parts of the documentation
	$(VENV)/bin/python -m curation_harness.docs

setup: $(STAMP) ## the Python environment

# torch first, then the torchvision made for it: with both in place nothing else pulls another build. `TORCH=` picks
# another, e.g. TORCH="torch==2.9.*".
TORCH ?= torch==2.13.0
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); test "$$(id -u)" = 0 && command -v apt-get >/dev/null || \
	    { echo "Python's venv module is missing. As root: apt-get install python3-venv"; exit 1; }; \
	  echo "Python's venv module is missing; installing python3-venv"; \
	  apt-get update -q && apt-get install -yq python3-venv && $(PYTHON) -m venv $(VENV); }
	@$(VENV)/bin/pip show -q torch 2>/dev/null || \
	  { echo "installing $(TORCH) into $(VENV) (large; minutes)"; $(VENV)/bin/pip install -q "$(TORCH)"; }
	@$(VENV)/bin/pip show -q torchvision 2>/dev/null || $(VENV)/bin/pip install -q torchvision \
	  "torch==$$($(VENV)/bin/python -c 'from importlib.metadata import version; print(version("torch"))')"
	@echo "installing the other Python packages into $(VENV) (about a minute)"
	@$(VENV)/bin/pip install -q -c constraints.txt -e '.[train,dev]'
	@$(VENV)/bin/pip install -q --no-deps -e tests/plugins/curation-probe
	@touch $@

vllm: ## a Python with vLLM's CPU build, for the tests of the vLLM backend (3.5 GB)
	tests/vllm_venv.sh .venv-vllm

engine: ## a running Docker engine
	@images/engine.sh

image: setup engine ## the base image, which agents without a model run in
	@$(HARNESS) images build base

images: setup engine ## every image: base, and one for each coding agent
	@$(HARNESS) images build
