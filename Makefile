# Everything runs in .venv, which make builds from requirements.lock; nothing else has to be set up.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
EXAMPLE := docker/example

.PHONY: demo test check bench format lock clean

demo: $(READY)  ## play one examination through the example community
	$(BIN)/hutong demo

test: $(READY)  ## run the tests
	-@sh .ci/packages
	$(BIN)/pytest --numprocesses 2 --dist loadfile

check: $(READY)  ## formatter, linter, types, import contracts, example configuration and mapping tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hutong check $(EXAMPLE)

bench: $(READY)  ## measure, side by side with a floor or a peer
	$(BIN)/python -m bench

format: $(READY)  ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY)  ## bring requirements.lock in line with pyproject.toml, changing as little as possible
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev pyproject.toml -o requirements.lock --generate-hashes --no-header --quiet

clean:  ## forget .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hutong needs Python 3.11 or later; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' \
	  || { echo "this Python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps -e .
	@touch $@
