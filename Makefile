# `make` makes the environment by itself: .venv, from pinned requirements, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := demo
# Three processes share the test files, since many tests wait; the files with slow tests come first,
# see tests/conftest.py.
PYTEST := -m pytest -n 3 --dist loadfile --no-loadscope-reorder
# Pages that mdformat wraps; those of docs/reference take their text from the code.
PAGES := *.md docs/*.md docs/decisions docs/notes pools tests/importers

.PHONY: help demo test quick slow coverage lint format bench site clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "balto needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## a small live campaign on this machine's CPU, tuning with its model, and reports
	$(BIN)/balto doctor
	$(BIN)/balto pretrain $(DEMO) \
		--operator matmul:128x128x128 --operator matmul_relu:128x256x256 \
		--operator batch_matmul_nkkm:4x64x64x64 --operator transpose_batch_matmul:1x64x4x32 \
		--operator conv2d_nhwc:1x14x14x64x64x3x1x1 --operator conv2d_nhwc:1x28x28x32x64x1 \
		--operator depthwise_conv2d_nhwc:1x28x28x64x3x1x1 --operator conv1d_nlc:1x64x64x64x3x1x1 \
		--programs 128 --budget 25% --rounds 6 --test-share 25% --compare random
	$(BIN)/balto report $(DEMO)
	$(BIN)/balto tune --operator matmul:192x320x256 --start-from $(DEMO)/model.balto \
		--trials 32 --compare stock -o $(DEMO)/tuned
	$(BIN)/balto report $(DEMO)/tuned
	$(BIN)/balto tune lenet-5 --start-from $(DEMO)/model.balto --trials 32 -o $(DEMO)/network
	$(BIN)/balto report $(DEMO)/network
	@echo "open report.html in $(DEMO), $(DEMO)/tuned and $(DEMO)/network in a browser"

test: coverage slow  ## all tests

quick: $(READY)  ## the tests that are not slow
	$(BIN)/python $(PYTEST) -m "not slow"

slow: $(READY)  ## the tests that are
	$(BIN)/python $(PYTEST) -m slow

coverage: $(READY)  ## the tests that are not slow, and how much of each file they run
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run $(PYTEST) -m "not slow"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

lint: $(READY)  ## ruff, mypy, and mdformat on the pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mdformat --check $(PAGES)
	$(BIN)/mypy

format: $(READY)  ## let ruff and mdformat put code and pages in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mdformat $(PAGES)

bench: $(READY)  ## the benchmarks that need no recorded pool
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/selection.py
	$(BIN)/python benchmarks/measure.py

site: $(READY)  ## the documentation as a site, build/site
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:  ## remove the environment and the demo
	rm -rf $(VENV) $(DEMO)
