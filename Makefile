# Everything runs from .venv; nothing needs root. `make setup` once, the rest as you like.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := local,export,nerf,dev,postgres,bench
OUT ?= output

.PHONY: setup demo test lint format proto models bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    set up, then photos → masks, PBR maps, four stains, a 3D model, its turntable and files in $(OUT)/"
	@echo "make test    set up, then run the tests against the real Triton"
	@echo "make setup   make $(VENV) with everything for development"
	@echo "make lint    ruff, mypy, import rules, buf, hadolint"
	@echo "make proto   generate the Python code of the protos again"
	@echo "make models  export the models into model_repository/ again"
	@echo "make bench NAME=stain_quality [JSON=FILE]   run one benchmark of tests/benchmarks/"

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml requirements.lock orchestrator/tools/node/package-lock.json
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e '.[$(EXTRAS)]'
	$(BIN)/python -m orchestrator.tools.node_packages
	touch $@

demo: setup
	$(BIN)/heartwood demo --out $(OUT)

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/hadolint docker/Dockerfile

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: setup
	$(BIN)/python -m orchestrator.protocol.generate

models: setup
	$(BIN)/python -m export_models.export

bench: setup
	$(BIN)/python -m tests.benchmarks.$(NAME) $(if $(JSON),--json $(JSON))

clean:
	rm -rf $(VENV) output build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info
