# Needs Python 3.11 (or 3.12), git and make. `make demo` and `make test` make the environment themselves.
PYTHON ?= python3.11
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# Without stored byte code each stage would compile torch and its company again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env lock demo demo-all check-demo test fast lint mlflow app clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

env: .venv/.made-$(notdir $(PYTHON))  ## make the environment in .venv; remade when the lock changes

.venv/.made-$(notdir $(PYTHON)): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found; install Python 3.11, or say where: make env PYTHON=..."; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

lock: env  ## refresh requirements.lock from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --upgrade --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --quiet | grep -vE '^(nvidia-|cuda-|triton==)' > requirements.lock.tmp
	mv requirements.lock.tmp requirements.lock

demo: env  ## run the whole pipeline on the embedded default
	irstd profile demo
	dvc repro
	irstd report

demo-all: env  ## the same with the five paper networks, half an hour; `make demo` switches back
	irstd profile demo-all
	dvc repro
	irstd report

check-demo: env  ## after `make demo`: a second run has nothing to do, and the figures hold
	dvc repro | grep "Data and pipelines are up to date"
	python -c "import json; m = json.load(open('reports/evaluate/demo/ispanet/metrics.json')); \
	  f1, base = m['f1_target'], m['baseline_f1_target']; print(f'F1-T {f1:.3f}, baseline {base:.3f}'); \
	  raise SystemExit(not (base < 0.3 and f1 >= base + 0.2))"
	test -f artifacts/demo/ispanet/ispanet.onnx
	test -f reports/register/demo/receipt.json

test: env  ## run all tests, on two cores
	pytest -n 2

fast: env  ## run the tests that take no more than a few seconds
	pytest -n 2 -m "not slow"

lint: env  ## style, types, layers, spelling
	ruff check
	ruff format --check
	mypy
	lint-imports
	codespell

mlflow: env  ## look at runs and models of the project's own store
	mlflow ui --backend-store-uri sqlite:///mlflow.db

app: env  ## open the results browser
	streamlit run app/main.py

clean:  ## remove the environment and everything that was made
	rm -rf .venv artifacts data/processed data/built dvc_plots mlflow.db mlartifacts
	mkdir -p reports
	find reports -mindepth 1 -maxdepth 1 ! -name published -exec rm -rf {} +
