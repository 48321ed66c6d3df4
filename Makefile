# Examflow: `make help` tells what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON_ := .venv/bin/python
LOCAL := $(PYTHON_) -m deploy.local
# What only looks or stops must not install anything first.
HAVE_VENV := [ -x $(PYTHON_) ] || { echo "Nothing was set up here yet: 'make up' does it."; exit 0; }

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## -- the local system, without Docker -------------------------------------------------------------------------------

.PHONY: venv servers run up down status logs restart clean token

venv: ## the Python packages in .venv, if they are missing or changed
	@deploy/local/install.sh --python-only

servers: ## the servers from Debian too, if they are missing
	@deploy/local/install.sh

run: up ## up, then a real study from upload to preview
	@$(PYTHON_) -m deploy.local.sample

up: servers ## start everything and wait until it is ready (PORT=8080, FREE_PORTS=1)
	@$(LOCAL) up $(if $(PORT),--port '$(PORT)') $(if $(FREE_PORTS),--free-ports)

down: ## stop what up started; the data stays
	@$(HAVE_VENV); $(LOCAL) down

status: ## each program: state, pid, port, ready or what is not
	@$(HAVE_VENV); $(LOCAL) status

logs: ## the end of a log, followed on a terminal: NAME=upload [FOLLOW=0]
	@$(HAVE_VENV); $(LOCAL) logs $(if $(FOLLOW),$(if $(filter 0,$(FOLLOW)),--no-follow,--follow)) -- '$(NAME)'

restart: ## restart one program: NAME=upload
	@$(HAVE_VENV); $(LOCAL) restart -- '$(NAME)'

clean: ## down, and forget the data
	@$(HAVE_VENV); $(LOCAL) clean

token: venv ## print one bearer token: SUB=u SCOPE="images:read dicom:upload" GROUP="a b"
	@$(LOCAL) token --sub '$(SUB)' --scope '$(SCOPE)' --group '$(GROUP)'

## -- the system in containers ---------------------------------------------------------------------------------------

# Where no registry gives the images, this script builds stand-ins of them.
STANDINS ?= ../shared/standins/build
COMPOSE := $(PYTHON_) -m deploy.compose

.PHONY: compose-up compose-down compose-env compose-test

compose-up: venv ## docker-compose.yml built, started and ready (GATEWAY_PORT=8088)
	@$(COMPOSE) up --standins '$(STANDINS)'

compose-down: venv ## stop and remove its containers; the data stays (VOLUMES=1 forgets it)
	@$(COMPOSE) down $(if $(VOLUMES),--volumes)

compose-env: venv ## its settings and secrets, as a file for Compose's --env-file
	@$(COMPOSE) env

compose-test: venv ## the end-to-end tests against containers of their own, removed afterwards
	@$(COMPOSE) test --standins '$(STANDINS)'

## -- checks and tests -----------------------------------------------------------------------------------------------

.PHONY: check audit sbom docs test bench chaos mutate-permissions

check: venv ## format, lint, types, imports, dead dependencies, bandit, generated documents: no services needed
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/deptry .
	@.venv/bin/bandit -q -c pyproject.toml -r services shared deploy docs
	@PYTHONPATH=. $(PYTHON_) docs/generate.py --check

# Strict: a package that could not be looked up is a failure, not a note at the end.
audit: venv ## known vulnerabilities of the locked packages (needs the network)
	@.venv/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.txt

SBOM ?= .run/sbom.json
sbom: venv ## what the image's Python packages are, as CycloneDX (SBOM=.run/sbom.json)
	@mkdir -p '$(dir $(SBOM))'
	@PYTHONWARNINGS=ignore .venv/bin/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml \
	  --mc-type application --output-reproducible --output-format JSON --output-file '$(SBOM)'
	@echo '$(SBOM)'

docs: venv ## write the generated documents anew
	@PYTHONPATH=. $(PYTHON_) docs/generate.py

test: servers ## all tests; BACKENDS=containers runs the servers in Docker, ARGS="-k name" chooses
	@$(PYTHON_) -m pytest --backends $(or $(BACKENDS),local) $(ARGS)

bench: ## speed beside Orthanc and nginx, as a table: ONLY="warm cold stampede viewers memory" chooses
	@deploy/local/install.sh --bench
	@$(PYTHON_) -m tests.bench $(ONLY)

chaos: servers ## the loss lab as stated, about an hour: N=2000 images a row, ONLY=pattern chooses rows
	@$(PYTHON_) -m pytest tests/chaos --chaos '$(or $(N),2000)' $(if $(ONLY),-k '$(ONLY)') $(ARGS)

mutate-permissions: servers ## take each check of rights out in turn: the table of routes and roles must fail (ONLY=text)
	@$(PYTHON_) -m tests.mutation '$(ONLY)'
