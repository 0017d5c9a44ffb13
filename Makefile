# Needs Python 3.11 or newer and a POSIX shell; every target sets up .venv first if it is missing or older than the lock.

PYTHON ?= python3
CONFIG ?= autograd_cubic
ARGS ?=
BIN := .venv/bin

.PHONY: help setup fit test slow faults check bench gpu tables docs golden notebooks tensorboard clean

help:
	@echo "make setup         set up .venv from requirements.lock (6 GB on Linux)"
	@echo "make fit           train a model: CONFIG=$(CONFIG), further flags in ARGS='--trainer.max_epochs 3'"
	@echo "make test          run the tests"
	@echo "make slow          run the slow tests: notebooks, exports, generated projects, more kills"
	@echo "make faults        kill, stop and damage real runs in every way we know"
	@echo "make check         lint, check format and the types for Linux, macOS and Windows"
	@echo "make bench         measure speed, and write the table of docs/speed.md"
	@echo "make gpu           measure speed, and check a resume, on one GPU"
	@echo "make tables        write the README's table of models from the configs"
	@echo "make docs          write the pages of docs/ and the reference as HTML, into docs/_build"
	@echo "make golden        record the golden losses and the command line's flags again"
	@echo "make notebooks     run the notebooks and store their outputs"
	@echo "make tensorboard   show the curves of all runs in a browser"
	@echo "make clean         remove .venv and the caches of tools; runs stay"

setup: .venv/ready

# The stamp comes last, so a set-up that broke off starts again. __init__.py has the version, which installing records.
.venv/ready: requirements.lock pyproject.toml src/firstlight/__init__.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
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
	for platform in linux darwin win32; do $(BIN)/mypy --platform $$platform || exit 1; done

bench: setup
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.growth

gpu: setup
	$(BIN)/python -m benchmarks.gpu

tables: setup
	$(BIN)/python -m docs.tables

# What it takes comes from the package index, and is not in the lock.
docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	$(BIN)/sphinx-build -W -q -c docs . docs/_build
	@echo "docs/_build/docs/README.html"

golden: setup
	$(BIN)/python -m tests.golden

notebooks: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m notebooks $(ARGS)

tensorboard: setup
	$(BIN)/firstlight tensorboard

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
