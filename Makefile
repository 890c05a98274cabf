# Everything runs in .venv, which `make` keeps up to date with requirements*.txt.
PYTHON ?= python3
STAGE  ?= local
export STAGE

python := .venv/bin/python
cloud  := $(python) -m infra.local

.DEFAULT_GOAL := help
.PHONY: help venv demo up down clean status backup token tokens revoke test test-localstack check bench bench-full

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

venv: .venv/installed

.venv/installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -m infra.venv

demo: venv ## from nothing to loaded data, reports and a restore
	@$(python) -m infra.demo

up: venv ## start the cloud of this checkout and deploy to it
	@$(cloud) up

down: venv ## stop it; its state stays
	@$(cloud) down

clean: venv ## stop it and delete its state
	@$(cloud) clean

status: venv ## what runs, and where
	@$(cloud) status

backup: venv ## back up now
	@$(cloud) invoke backup

token: venv ## a new token: ROLE=reader|writer|operator, NOTE=whose
	@$(cloud) token "$(ROLE)" --note "$(NOTE)"

tokens: venv ## the tokens that were given out
	@$(cloud) tokens

revoke: venv ## end a token: TOKEN=its id or itself
	@$(cloud) revoke "$(TOKEN)"

test: venv ## all tests
	@$(python) -m pytest

test-localstack: STAGE = localstack
test-localstack: up ## the end-to-end tests against STAGE=localstack; they empty its tables
	@$(python) -m pytest tests/e2e --stage localstack

check: venv ## what guards the code: ruff and mypy
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m mypy

bench: venv ## the benchmarks, as ratios to named limits (3 minutes)
	@$(python) -m bench

bench-full: venv ## the same with 1M and 5M rows, and the picture in docs (20 minutes)
	@$(python) -m bench --full
