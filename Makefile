# Every command of the project; `make` alone lists them. Works with GNU make 3.81 and any POSIX shell.
.DEFAULT_GOAL := help
.PHONY: help install run test lint token build proof lock sam clean

PY := .venv/bin/python
INSTALLED := .venv/.installed
SAM_INSTALLED := .venv-sam/.installed

# Ids may hold `*`, `#`, `$`, quotes and spaces, so they reach `local token` through the environment, letter by letter,
# and never through a recipe's text.
override SCOPE := $(value SCOPE)
override BRANDS := $(value BRANDS)
override PARTNERS := $(value PARTNERS)
export SCOPE BRANDS PARTNERS

# A venv whose interpreter has gone (an upgrade of the system's Python) is made again.
ifneq ($(shell $(PY) -ISc 'print(1)' 2>/dev/null),1)
.PHONY: $(INSTALLED)
endif

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## make .venv with the best Python here (PYTHON=... to choose) and the locked packages

$(INSTALLED): requirements.txt scripts/install
	@sh scripts/install .venv requirements.txt layers/common . >&2

run: $(INSTALLED) ## start everything on 127.0.0.1:PORT (8000), with a demo month the first time
	@exec $(PY) -m local run

# Side by side in WORKERS processes, unless they would share a Redis; what is timed, the owner's guardrail, comes
# after them, alone.
WORKERS = $(if $(ADBID_TEST_REDIS_URL),1,2)
GUARDRAIL = tests/e2e/test_guardrail.py
test: $(INSTALLED) ## run every test, WORKERS (2) at a time; ARGS="-k posterior" narrows it, one at a time
ifeq ($(strip $(ARGS)),)
	@$(PY) -m pytest -q -n $(WORKERS) --dist loadfile --ignore $(GUARDRAIL)
	@exec $(PY) -m pytest -q $(GUARDRAIL)
else
	@exec $(PY) -m pytest $(ARGS)
endif

lint: $(INSTALLED) ## ruff, mypy --strict on the shared package and the functions; the dashboard's, where Node is
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m local.dashboard lint

token: $(INSTALLED) ## print a token: SCOPE="partner" [BRANDS=...] [PARTNERS=...], ids separated by commas, or *
	@exec $(PY) -m local token

build: $(INSTALLED) ## make in build/ what AWS runs (needs python3.13); ARCH=x86_64 for such a machine, not arm64
	@exec $(PY) -m scripts.package

proof: $(INSTALLED) ## run what is built for this machine as Lambda would, and print what it takes
	@exec $(PY) -m pytest -q tests/infrastructure/test_runtime.py

# Pins stay as they are unless pyproject.toml asks for others; LOCK="--upgrade" moves them all.
# The dev lock serves 3.11 and newer on every system; what ships takes its versions from there, for the Lambda's Python.
COMPILE = UV_PYTHON_DOWNLOADS=never $(PY) -m uv pip compile --quiet --no-header --generate-hashes $(LOCK)
LAMBDA = $(COMPILE) --python-version 3.13 --python-platform x86_64-manylinux_2_28 --constraint requirements.txt
lock: $(INSTALLED) ## write the lock files anew from pyproject.toml
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PY) -m pip install --quiet --disable-pip-version-check uv >&2
	$(COMPILE) --universal --python-version 3.11 pyproject.toml --group dev -o requirements.txt
	$(COMPILE) --universal --python-version 3.11 --group sam -o requirements-sam.txt
	$(LAMBDA) pyproject.toml -o layers/common/requirements.txt
	$(LAMBDA) --group authorizer -o functions/authorizer/requirements.txt
	$(LAMBDA) --group retrain -o functions/retrain/requirements.txt
	$(LAMBDA) --group migrations -o migrations/requirements.txt
	$(LAMBDA) --group lambda -o requirements-lambda.txt
	$(LAMBDA) --no-deps --group openmp -o scripts/package/openmp.txt

# The two validations find different faults.
SAM := SAM_CLI_TELEMETRY=0 .venv-sam/bin/python -m samcli
sam: $(SAM_INSTALLED) $(INSTALLED) ## check and build template.yaml with the AWS SAM CLI (needs python3.13)
	$(SAM) validate --lint --region us-east-1
	$(SAM) validate --region us-east-1
	$(SAM) build

$(SAM_INSTALLED): requirements-sam.txt scripts/install
	@sh scripts/install .venv-sam requirements-sam.txt >&2

clean: ## remove the venvs, the caches and what was built; .local, with its data, stays
	rm -rf .venv .venv-sam .aws-sam build .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	rm -rf dashboard/node_modules dashboard/dist dashboard/src/generated dashboard/.built dashboard/.lock
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
