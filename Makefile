# Needs Python 3.11 or newer and make; every target sets up .venv first if it is missing or older than the lock.

PYTHON ?= python3
CONFIG ?= autograd_cubic
ARGS ?=
BIN := .venv/bin

.PHONY: help setup fit test slow faults check bench notebooks tensorboard clean

help:
	@echo "make setup         set up .venv from requirements.lock"
	@echo "make fit           train a model: CONFIG=$(CONFIG), and ARGS='--trainer.max_epochs 3' if wanted"
	@echo "make test          run the tests"
	@echo "make slow          run those that are left out of them: notebooks, exports, projects, more kills"
	@echo "make faults        kill, stop and damage real runs, the whole matrix"
	@echo "make check         lint, format and types"
	@echo "make bench         measure speed"
	@echo "make notebooks     run the notebooks and store what they show"
	@echo "make tensorboard   look at the curves in a browser"
	@echo "make clean         remove .venv and what tools left behind; runs stay"

setup: .venv/ready

# The stamp comes last, so a set-up that broke off starts again.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

fit: setup
	$(BIN)/firstlight fit --config $(CONFIG) $(ARGS)

test: setup
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

slow: setup
	$(BIN)/pytest -n 2 --dist worksteal -m slow $(ARGS)

faults: setup
	$(BIN)/python -m tests.faults

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.growth

notebooks: setup
	$(BIN)/python -m notebooks $(ARGS)

tensorboard: setup
	$(BIN)/firstlight tensorboard

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
