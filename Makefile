# `make course` and `make test` are all a newcomer needs; both set up .venv first. PYTHON names another interpreter.
SHELL := /bin/bash
PYTHON ?= python3
ENGINE ?= embedded
OUT ?= out/course
BIN := .venv/bin
# Processes that run the tests, which wait as much as they work.
WORKERS ?= 4
UV ?= $(if $(wildcard $(BIN)/uv),$(BIN)/uv,uv)

.PHONY: course test kind browser lab lint bench bench-kind soak setup setup-dev lock upstream clean

# What a student needs; the tools of those who work on the kit come with `make test` and the like.
setup: .venv/.ready
setup-dev: .venv/.ready-dev

# A newer lock or another pyproject.toml installs again. `.ci/install LOCK` does it by uv, else by pip.
.venv/.ready: requirements.txt requirements-setup.txt pyproject.toml cluster/kubeproc/pyproject.toml
	@PYTHON="$(PYTHON)" GOALS="$(MAKECMDGOALS)" .ci/install requirements.txt
	@touch $@

.venv/.ready-dev: requirements-dev.txt .venv/.ready
	@PYTHON="$(PYTHON)" GOALS="$(MAKECMDGOALS)" .ci/install requirements-dev.txt
	@touch $@

course: setup
	$(BIN)/labkit run notebooks --engine $(ENGINE) --out $(OUT)

test: setup-dev
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not soak and not browser and not kind"

soak: setup-dev
	$(BIN)/python -m pytest -m "slow or soak" --timeout 3600

browser: setup-dev
	$(BIN)/python -m pytest -m browser

# The real cluster: needs Docker and a bundle (LABKIT_BUNDLE) or a network.
kind: setup-dev
	$(BIN)/python -m pytest -m kind --timeout 1800

lab: setup
	$(BIN)/labkit lab

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-dev
	$(BIN)/python -m benchmarks --write

# The embedded cluster beside the real one, half an hour; needs what `make kind` needs.
bench-kind: setup-dev
	$(BIN)/python -m benchmarks engines --write

# What kubeproc knows of upstream's kinds, from modules that Go downloads and checks.
upstream: setup-dev
	$(BIN)/python cluster/kubeproc/tools/protobuf_tables.py
	$(BIN)/python cluster/kubeproc/tools/custom_resources.py

# The locks are made from both pyproject.toml (labkit's names kubeproc); they carry hashes and no index address.
lock:
	$(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-package kubeproc --no-header -q -o requirements.txt
	$(UV) pip compile cluster/packages.in -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -q -o cluster/packages.txt
	$(UV) pip compile pyproject.toml --extra dev -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-emit-package kubeproc --no-header -q -o requirements-dev.txt
	$(UV) pip compile --group setup --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements-setup.txt

clean:
	rm -rf out build dist *.egg-info
