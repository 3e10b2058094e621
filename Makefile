# Everything is installed into .venv. Nothing needs root.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := local,export,pull,nerf,dev,postgres,bench
# The architecture of MoGe-2. Its other dependencies, which include a second OpenCV, are not needed.
MOGE := dlr-moge dlr-utils3d dlr-pipeline
OUT ?= output
WHEEL_DIR := dist

.PHONY: help setup demo test lint format proto models bench wheel clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     run the demo: masks, PBR maps, stains, a 3D model and its turntable, in $(OUT)/"
	@echo "make test     run the tests, with the real Triton, Blender and COLMAP"
	@echo "make setup    install everything for development into $(VENV)"
	@echo "make lint     run ruff, mypy, import-linter, buf and hadolint"
	@echo "make format   fix what ruff can fix"
	@echo "make proto    regenerate the Python code of the protos"
	@echo "make models   export the models into model_repository/ again"
	@echo "make bench NAME=stain_quality [JSON=FILE]   run one benchmark of tests/benchmarks/"
	@echo "make wheel    build the wheel into $(WHEEL_DIR)/"

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml requirements.lock orchestrator/tools/node/package-lock.json
	@command -v $(PYTHON) >/dev/null || { printf '%s\n' "$$PYTHON_MISSING" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements.lock --no-deps $(MOGE)
	$(BIN)/python -m orchestrator.tools.node_packages
	touch $@

define PYTHON_MISSING
Heartwood needs Python 3.11, and "$(PYTHON)" was not found. To install Python 3.11:

Ubuntu 22.04, Ubuntu 24.04 and Debian 13, with uv (https://docs.astral.sh/uv/getting-started/installation):
    uv python install 3.11
    make PYTHON=$$(uv python find 3.11) setup

Ubuntu 22.04 and 24.04, with the deadsnakes PPA instead:
    sudo add-apt-repository ppa:deadsnakes/ppa
    sudo apt-get install python3.11 python3.11-venv libpython3.11
    make setup

Debian 12:
    sudo apt-get install python3.11 python3.11-venv libpython3.11
    make setup
endef
export PYTHON_MISSING

demo: setup
	$(BIN)/heartwood demo --out $(OUT)

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal

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

wheel: setup
	rm -f $(WHEEL_DIR)/heartwood-*.whl
	$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation --wheel-dir $(WHEEL_DIR) .

clean:
	rm -rf $(VENV) output build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
