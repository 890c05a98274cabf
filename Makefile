# Every command runs in .venv. A command first installs the packages that it needs into .venv (infra/install/sets.py).
PYTHON ?= python3
export PYTHON
STAGE  ?= local
export STAGE
# A recipe takes free texts, such as NAME and NOTE, from the environment, to which make exports the variables of its
# command line. So the shell does not read quotation marks in them.

python := .venv/bin/python
cloud  := $(python) -m infra.local
# An empty API_URL selects the stage STAGE, even if the environment names an API.
hireflow := API_URL= ./hireflow

.DEFAULT_GOAL := help
.PHONY: help venv venv-run venv-deploy venv-develop lock demo up down clean status serve logs backup verify-backups redrive token tokens revoke migration deploy plan destroy unlock test browser screenshots faults soak year fuzz fuzz-api test-localstack check mypy audit bandit cfn-lint zizmor ruff bench bench-full

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

venv:
	@sh infra/install.sh local

venv-run:
	@sh infra/install.sh local postgres ministack

venv-deploy:
	@sh infra/install.sh deploy

venv-develop:
	@sh infra/install.sh develop postgres ministack

demo: venv-run ## deploy to this machine, then show loads, reports and a restore
	@$(python) -m infra.demo

up: venv-run ## start the embedded cloud and deploy to it; RESET=NAME sets a setting back to its default
	@$(cloud) up $(if $(RESET),--reset "$(RESET)")

down: venv ## stop the embedded cloud, but keep its data
	@$(cloud) down

clean: venv ## stop the embedded cloud, and delete its data
	@$(cloud) clean

status: venv ## show the running servers, their addresses, and all settings with their sources
	@$(cloud) status

serve: venv ## serve the API of this checkout with `chalice local` (PORT=8000), with the data of the stage
	@$(cloud) serve $(if $(PORT),--port "$(PORT)")

logs: venv ## follow the logs of all functions, starting ten minutes ago
	@$(cloud) check && $(hireflow) logs --follow

backup: venv ## back up now
	@$(cloud) invoke backup

verify-backups: venv ## verify the newest restore point (POINT=name for another one, ALL=1 for all)
	@$(cloud) verify $(if $(POINT),--point $(POINT)) $(if $(ALL),--all)

redrive: venv ## offer again the events of loads that were given up
	@$(cloud) invoke redrive

token: venv ## create a token: ROLE=reader|writer|operator, NOTE=who uses the token (ROWS=1 to let it see rows)
	@test -n "$$ROLE" || { echo 'error: a token needs a role: make token ROLE=reader (or writer, operator)' >&2; exit 2; }
	@$(cloud) check && $(hireflow) token new "$$ROLE" --note "$$NOTE"$(if $(filter-out 0 no off false,$(ROWS)), --rows)

tokens: venv ## list all tokens
	@$(cloud) check && $(hireflow) token list

revoke: venv ## revoke a token: TOKEN=the id of the token, or the token itself
	@$(cloud) check && $(hireflow) token revoke "$$TOKEN"

migration: ## write the migration to the declared datasets: NAME=add_email (DROP="table.column table" to drop these)
	@sh infra/install.sh develop postgres
	@$(python) -m infra.migration "$$NAME" $$DROP

deploy: venv-deploy ## deploy STAGE=prod (or another stage in .chalice/config.json) to AWS: stacks, functions, migrations, smoke test
	@$(python) -m infra.deploy deploy $(if $(RESET),--reset "$(RESET)")

plan: venv-deploy ## show what `make deploy` would change
	@$(python) -m infra.deploy plan $(if $(RESET),--reset "$(RESET)")

destroy: venv-deploy ## delete a stage from AWS except its data: STAGE=prod YES=prod
	@$(python) -m infra.deploy destroy

unlock: venv-deploy ## delete the lock that a killed make deploy or make destroy has left: STAGE=prod YES=prod
	@$(python) -m infra.deploy unlock

test: venv-develop ## run all tests, in WORKERS=3 processes
	@$(python) -m pytest -n $(or $(WORKERS),3) --durations=10

browser: ## install the programs for the browser tests: Chromium (from Debian, as root) and axe-core (from npm)
	@command -v chromium >/dev/null || { apt-get -q update && apt-get install -q -y --no-install-recommends chromium; }
	@cd tests/e2e/browser && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel error

screenshots: venv-develop ## take the screenshots of the dashboard for the README
	@HIREFLOW_BROWSER=required HIREFLOW_SCREENSHOTS=1 $(python) -m pytest -q tests/e2e/test_dashboard.py -k pictures

faults: venv-develop ## run the long form of tests/faults: 300 faults in the deployed app (15 to 40 minutes)
	@$(python) -m tests.faults

soak: venv-develop ## keep a stage at work for half an hour, and judge whether its memory and files stay flat (SECONDS=n)
	@$(python) -m tests.soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

test-localstack: STAGE = localstack
test-localstack: venv-develop up ## run the end-to-end tests against STAGE=localstack, which empty the tables of this stage
	@$(python) -m pytest tests/e2e --stage localstack

year: venv-develop ## check a stage with the data of a year: LOADS=n POINTS=n OBJECTS=n (20 minutes)
	@$(python) -m tests.year $(if $(LOADS),--loads $(LOADS)) $(if $(POINTS),--points $(POINTS)) $(if $(OBJECTS),--objects $(OBJECTS))

fuzz: venv-develop ## parse a million hostile CSV and Avro files (INPUTS=n, SEED=n; 30 minutes)
	@$(python) -m pytest tests/fuzz -q --hypothesis-profile=long
	@$(python) -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED))

fuzz-api: venv-develop ## send thousands of requests generated from the OpenAPI document (EXAMPLES=n, SEED=n; 5 minutes)
	@LOG_LEVEL=ERROR FUZZ_EXAMPLES=$(or $(EXAMPLES),400) FUZZ_SEED=$(or $(SEED),$$(date +%s)) $(python) -m pytest -q -s tests/integration/api/test_api_fuzz.py

lock: venv ## compile requirements.txt and requirements/*.in to lock files with versions and hashes
	@$(python) -m infra.install.lock

check: venv-develop ## run all static checks: ruff, mypy, bandit, cfn-lint, zizmor and pip-audit
	@$(MAKE) --no-print-directory --keep-going -j 2 mypy audit bandit cfn-lint zizmor ruff

mypy:
	@$(python) -m mypy

audit:
	@$(python) -m infra.audit

bandit:
	@$(python) -m bandit --quiet --configfile pyproject.toml --confidence-level medium --recursive app.py chalicelib
	@$(python) -m bandit --quiet --configfile pyproject.toml --confidence-level medium --severity-level medium --recursive cli infra

cfn-lint:
	@$(python) -m infra.aws .local-templates
	@.venv/bin/cfn-lint --non-zero-exit-code informational --include-checks I --regions us-east-1 eu-central-1 --template .local-templates/*.yaml

zizmor:
	@.venv/bin/zizmor --quiet --offline --no-progress .github/workflows

ruff:
	@$(python) -m ruff check
	@$(python) -m ruff format --check

bench: venv-develop ## run the benchmarks, which compare Hireflow with bare tools (3 minutes)
	@$(python) -m bench

bench-full: venv-develop ## run the benchmarks with 1 to 20 million rows, and draw the chart in docs (25 minutes)
	@$(python) -m bench --full
