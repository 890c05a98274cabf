# Everything runs in .venv, which each command fills with the packages that it needs (infra/install/sets.py).
PYTHON ?= python3
export PYTHON
STAGE  ?= local
export STAGE

python := .venv/bin/python
cloud  := $(python) -m infra.local
# Of the stage STAGE, though the environment may name an API.
hireflow := API_URL= ./hireflow

.DEFAULT_GOAL := help
.PHONY: help venv venv-run venv-deploy venv-develop lock demo up down clean status serve logs backup verify-backups redrive token tokens revoke deploy plan destroy test browser screenshots faults fuzz fuzz-api test-localstack check mypy audit bandit cfn-lint ruff bench bench-full

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

venv:
	@sh infra/install.sh local

venv-run:
	@sh infra/install.sh local postgres ministack

venv-deploy:
	@sh infra/install.sh aws

venv-develop:
	@sh infra/install.sh develop postgres ministack

demo: venv-run ## from nothing to loaded data, reports and a restore
	@$(python) -m infra.demo

up: venv-run ## start the cloud of this checkout and deploy to it; RESET=NAME: that setting has its default again
	@$(cloud) up $(if $(RESET),--reset "$(RESET)")

down: venv ## stop it; its state stays
	@$(cloud) down

clean: venv ## stop it and delete its state
	@$(cloud) clean

status: venv ## what runs, and where; all settings, and where they come from
	@$(cloud) status

serve: venv ## serve the API of this checkout with `chalice local` (PORT=8000), on what `make up` has started
	@$(cloud) serve $(if $(PORT),--port "$(PORT)")

logs: venv ## follow the logs of all functions, from ten minutes ago on
	@$(cloud) check && $(hireflow) logs --follow

backup: venv ## back up now
	@$(cloud) invoke backup

verify-backups: venv ## re-read the newest backup (POINT=name for another, ALL=1 for all) and check everything
	@$(cloud) verify $(if $(POINT),--point $(POINT)) $(if $(ALL),--all)

redrive: venv ## offer the events of loads that were given up again
	@$(cloud) invoke redrive

token: venv ## a new token: ROLE=reader|writer|operator, NOTE=whose
	@test -n "$(ROLE)" || { echo 'error: a token needs a role: make token ROLE=reader (or writer, operator)' >&2; exit 2; }
	@$(cloud) check && $(hireflow) token new "$(ROLE)" --note "$(NOTE)"

tokens: venv ## the tokens that were given out
	@$(cloud) check && $(hireflow) token list

revoke: venv ## end a token: TOKEN=its id or itself
	@$(cloud) check && $(hireflow) token revoke "$(TOKEN)"

deploy: venv-deploy ## bring STAGE=prod, or another one of .chalice/config.json, to AWS: stacks, functions, migrations, a smoke test
	@$(python) -m infra.deploy deploy $(if $(RESET),--reset "$(RESET)")

plan: venv-deploy ## say what `make deploy` would change there
	@$(python) -m infra.deploy plan $(if $(RESET),--reset "$(RESET)")

destroy: venv-deploy ## delete all of it but data: YES=prod
	@$(python) -m infra.deploy destroy

test: venv-develop ## all tests, in WORKERS=3 processes
	@$(python) -m pytest -n $(or $(WORKERS),3) --durations=10

browser: ## what the browser tests need: Chromium (Debian's, as root) and axe-core from npm
	@command -v chromium >/dev/null || { apt-get -q update && apt-get install -q -y --no-install-recommends chromium; }
	@cd tests/e2e/browser && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel error

screenshots: venv-develop ## take the pictures of the dashboard for the README
	@HIREFLOW_BROWSER=required HIREFLOW_SCREENSHOTS=1 $(python) -m pytest -q tests/e2e/test_dashboard.py -k pictures

faults: venv-develop ## the long form of tests/faults: 300 faults in the deployed app (15 to 40 minutes)
	@$(python) -m tests.faults

test-localstack: STAGE = localstack
test-localstack: venv-develop up ## the end-to-end tests against STAGE=localstack; they empty its tables
	@$(python) -m pytest tests/e2e --stage localstack

fuzz: venv-develop ## a million hostile CSV and Avro files through the readers (INPUTS=n, SEED=n; 10 minutes)
	@$(python) -m pytest tests/fuzz -q --hypothesis-profile=long
	@$(python) -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED))

fuzz-api: venv-develop ## thousands of requests made from the OpenAPI document (EXAMPLES=n, SEED=n; 5 minutes)
	@LOG_LEVEL=ERROR FUZZ_EXAMPLES=$(or $(EXAMPLES),400) FUZZ_SEED=$(or $(SEED),$$(date +%s)) $(python) -m pytest -q -s tests/integration/api/test_api_fuzz.py

lock: venv ## compile requirements.txt and requirements/*.in to what is installed, with hashes
	@$(python) -m infra.install.lock

check: venv-develop ## what guards the code: ruff, mypy, bandit, cfn-lint and pip-audit
	@$(MAKE) --no-print-directory --keep-going -j 2 mypy audit bandit cfn-lint ruff

mypy:
	@$(python) -m mypy

audit:
	@$(python) -m infra.audit

bandit:
	@$(python) -m bandit --quiet --configfile pyproject.toml --confidence-level medium --recursive app.py chalicelib
	@$(python) -m bandit --quiet --configfile pyproject.toml --confidence-level medium --severity-level medium --recursive cli infra

cfn-lint:
	@.venv/bin/cfn-lint --non-zero-exit-code informational --include-checks I --regions us-east-1 eu-central-1 --template infra/aws/templates/*.yaml

ruff:
	@$(python) -m ruff check
	@$(python) -m ruff format --check

bench: venv-develop ## the benchmarks, as ratios to named limits (3 minutes)
	@$(python) -m bench

bench-full: venv-develop ## the same with 1M and 5M rows, and the picture in docs (20 minutes)
	@$(python) -m bench --full
