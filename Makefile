# `make course` and `make test` are all a newcomer needs; both set up .venv first. PYTHON names another interpreter.
SHELL := /bin/bash
PYTHON ?= python3
ENGINE ?= embedded
OUT ?= out/course
BIN := .venv/bin

.PHONY: course test kind browser lab lint bench bench-kind soak setup lock clean

setup: .venv/.ready

# Bytecode is compiled at install: TensorFlow imports in 3 s with it and in 8 s without.
.venv/.ready: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  f"labkit needs Python 3.11 to 3.13, {sys.executable} is {v[0]}.{v[1]}\n  hint: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

course: setup
	$(BIN)/labkit run notebooks --engine $(ENGINE) --out $(OUT)

test: setup
	$(BIN)/python -m pytest -m "not slow and not soak and not browser and not kind"

soak: setup
	$(BIN)/python -m pytest -m "slow or soak" --timeout 3600

browser: setup
	$(BIN)/python -m pytest -m browser

# The real cluster: needs Docker and a bundle (LABKIT_BUNDLE) or a network.
kind: setup
	$(BIN)/python -m pytest -m kind --timeout 1800

lab: setup
	$(BIN)/labkit lab

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m benchmarks --write

# The embedded cluster beside the real one, half an hour; needs what `make kind` needs.
bench-kind: setup
	$(BIN)/python -m benchmarks engines --write

# The locks are made from pyproject.toml; they carry hashes and no index address.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements.txt
	uv pip compile cluster/packages.in -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -q -o cluster/packages.txt
	uv pip compile pyproject.toml --extra dev -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements-dev.txt

clean:
	rm -rf out build dist *.egg-info
