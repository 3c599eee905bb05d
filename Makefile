# What a developer runs. Everything is installed from npm; `make` alone explains the targets.
#
# The database is addressed only by SUPASAASY_DATABASE_URL: a DATABASE_URL of yours is never read.

.DEFAULT_GOAL := help
SHELL := /bin/bash
unexport DATABASE_URL
export DENO_NO_PACKAGE_JSON := 1
export DENO_NO_UPDATE_CHECK := 1

DENO := node_modules/.bin/deno
STACK := $(DENO) run -A supabase/local/stack.ts
CODE := connectors functions supabase tests

.PHONY: help install demo up down reset restart status db test test-pgtap test-unit test-conformance test-stack test-property test-chaos test-e2e \
  bench build configure connector add-to fmt lint verify ok

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install: node_modules/.installed ## install everything, from npm only

# No lock file: every version in package.json is exact, and what those packages pull in are their own
# binaries, which a lock written on one platform would not list for the others.
node_modules/.installed: package.json
	npm install --no-package-lock --engine-strict --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

demo: install ## sync a Stripe account (a fake one, or STRIPE_API_KEY=sk_test_...) and query it
	@$(DENO) run -A supabase/local/demo.ts

up: install ## start the local stack, without Docker
	@$(STACK) up

down: install ## stop the local stacks; nothing is left running
	@$(STACK) down --all

status: install ## what of the local stack is running
	@$(STACK) status

restart: install ## restart the functions with this shell's environment
	@$(STACK) restart functions

reset: install ## empty the local database and install the schema anew
	@$(STACK) reset

db: install ## a SQL shell on the local database
	@$(DENO) run -A supabase/local/shell.ts

test: install ## everything: pgTAP, unit and end-to-end
	@$(DENO) run -A tests/run.ts

test-pgtap: install ## the database tests alone
	@$(DENO) run -A tests/run.ts pgtap

test-unit: install ## the TypeScript tests alone
	@$(DENO) run -A tests/run.ts unit

test-conformance: install ## every connector against its fake, alone (CONNECTOR=acme)
	@$(DENO) run -A tests/run.ts conformance

test-stack: install ## the tests of the local stack alone
	@$(DENO) run -A tests/run.ts stack

test-property: install ## random histories alone (SEEDS=300, or SEED=7 to replay one)
	@$(DENO) run -A tests/run.ts property

test-chaos: install ## kill processes and lose requests alone (CHAOS_SECONDS=30)
	@$(DENO) run -A tests/run.ts chaos

test-e2e: install ## the tests on the whole stack alone
	@$(DENO) run -A tests/run.ts e2e

bench: install ## what it costs, beside baselines of the same run (ONLY=ingest,claims)
	@$(DENO) run -A tests/bench/run.ts

build: install ## write supabase/migrations out of sql/ and connectors/ (SCHEMA=crm for another name)
	@$(DENO) run -A supabase/build.ts $(if $(SCHEMA),--schema $(SCHEMA))

configure: install ## print the SQL that applies a config in code (CONFIG=supasaasy.config.ts)
	@$(DENO) run -A supabase/configure.ts $(CONFIG)

connector: install ## make a new connector from the template (NAME=acme)
	@$(DENO) run -A connectors/new.ts $(NAME)

add-to: install ## add this to a Supabase project of yours, or upgrade it there (PROJECT=../app)
	@$(DENO) run -A supabase/add_to.ts $(PROJECT)

fmt: install ## format the TypeScript
	@$(DENO) fmt -q $(CODE)

lint: install ## check format, lint and types
	@$(DENO) fmt -q --check $(CODE)
	@$(DENO) lint -q $(CODE)
	@$(DENO) check -q $(CODE)

verify: install ## check that what is generated is what would be generated
	@$(DENO) run -A supabase/build.ts --check

ok: lint verify test ## all that CI runs on the embedded stack
