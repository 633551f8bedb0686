# Everything that is done with this project, by name. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first Python on the path that runs and is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
BIN := .venv/bin
TOOLS := .tools
SAM := $(TOOLS)/sam/bin/sam
export SAM_CLI_TELEMETRY := 0
CODE := functions shared local tests benchmarks

.PHONY: help demo local presets invoke test simulate benchmark cold-start forgeries build check format lint types layers template \
	scan lock deploy fal-key token tokens revoke pause resume logs destroy clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

demo: .venv/local ## edit real photos on all six endpoints, with no account and no key, and show the pictures
	@$(BIN)/python -m local demo

ENGINE ?= processes
local: .venv/local $(if $(filter sam,$(ENGINE)),docker $(TOOLS)/sam/ready) ## the whole service on this machine, in the foreground; ENGINE=sam runs its functions in containers
	@exec $(BIN)/python -m local --engine $(ENGINE)

# Some systems have a KEY in the environment: only what was typed counts.
presets: .venv/local ## check presets.yaml, and show which uploads start which preset; KEY=products/a.jpg of one upload
	@$(BIN)/python -m local.presets $(if $(filter command,$(origin KEY)),"$(KEY)")

# Some systems have a NAME in the environment: only what was typed counts.
typed = $(if $(filter command,$(origin $(1))),--$(2) "$($(1))")
INVOKED = $(if $(filter command,$(origin NAME)),"$(NAME)") $(call typed,EVENT,event) $(call typed,FUNCTION,function)
invoke: .venv/local $(if $(strip $(INVOKED)),invocable $(TOOLS)/sam/ready) ## an event of events/ through its function in a container, NAME=post_job; a file's, EVENT=path; all names without
	@$(BIN)/python -m local.invoke $(INVOKED)

# Before anything is installed for containers: whether there can be any.
.PHONY: docker invocable
docker: .venv/local
	@$(BIN)/python -m local.docker

invocable: .venv/local
	@$(BIN)/python -m local.invoke --check $(INVOKED)

test: .venv/dev ## what a change can break, in two minutes
	@$(BIN)/pytest -n auto -m "not long" $(COVERAGE)

# The rest. What keeps a core busy takes one each; what waits for a stack on this machine leaves time for a third process.
BUSY := $(addprefix tests/,artifact browser comparison flow forgeries iam simulation)
.PHONY: test-long
test-long: .venv/dev $(TOOLS)/sam/ready $(TOOLS)/javascript/ready
	@$(BIN)/pytest -n 3 --dist worksteal -m long $(addprefix --ignore ,$(BUSY))
	@$(BIN)/pytest -n auto --dist worksteal -m long $(BUSY)

SEEDS ?= 100000
simulate: .venv/dev ## many random schedules of faults on the whole service, SEEDS=100000
	@$(BIN)/python -m tests.simulation --faults 2 --scenario upload --scenario post
	@$(BIN)/python -m tests.simulation --faults 1
	@$(BIN)/python -m tests.simulation --interleaved
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

reached: .venv/dev ## what of shared the simulation reaches, and which tests reach the rest
	@$(BIN)/python -m tests.simulation.reached

mutate: $(TOOLS)/mutation/ready ## plant mistakes where money hangs, and see whether the tests notice; SEED=2 another sample, WHOLE=1 all
	@$(TOOLS)/mutation/bin/python -m tests.mutation --seed $(SEED) $(if $(WHOLE),--whole)

benchmark: .venv/dev ## what a sweep does and costs with 100,000 open jobs
	@POWERTOOLS_METRICS_DISABLED=true $(BIN)/python -m benchmarks.sweep

cold-start: .venv/dev ## what a cold start spends on imports, with the artifact's bytecode and without
	@$(BIN)/python -m benchmarks.cold_start

COUNT ?= 1000000
SEED ?= 1
forgeries: .venv/dev ## COUNT mutated deliveries (a million), of which the verifier may take none; CASE=… shows one
	@$(BIN)/python -m tests.forgeries --count $(COUNT) --seed $(SEED) $(if $(CASE),--case $(CASE))

# Installing and reading are the work of one core each; tests keep two busy by themselves.
check: ## all that must hold before a change goes in: `make test` and what takes longer
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line static
	@$(MAKE) --no-print-directory test COVERAGE="--cov --cov-fail-under=95"
	@$(MAKE) --no-print-directory test-long

.PHONY: static
static: format-check lint types layers scan template

format: .venv/dev ## put the code into its format
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix-only --quiet $(CODE)

.PHONY: format-check
format-check: .venv/dev
	@$(BIN)/ruff format --check --quiet $(CODE)

lint: .venv/dev ## what ruff finds
	@$(BIN)/ruff check $(CODE)

types: .venv/dev ## what mypy finds
	@$(BIN)/mypy

layers: .venv/dev ## whether every import goes the right way
	@$(BIN)/lint-imports --no-cache

template: .venv/dev $(TOOLS)/sam/ready $(TOOLS)/checkov/ready ## what cfn-lint, SAM and checkov find in template.yaml
	@$(BIN)/cfn-lint template.yaml
	@$(SAM) validate --lint
	@$(TOOLS)/checkov/bin/checkov --file template.yaml --config-file .checkov.yaml --quiet --compact --skip-download

# What bandit and zizmor look for is in pyproject.toml and .github.
scan: .venv/dev ## what bandit finds in the code, and zizmor in the workflows
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml --severity-level medium functions shared local
	@$(BIN)/zizmor --offline --no-progress --quiet .github

lock: .venv/dev ## choose the newest versions that pyproject.toml allows, with hashes
	@compile="$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate pyproject.toml"; \
	$$compile -o requirements.txt; \
	$$compile -c requirements.txt --group local -o requirements-local.txt; \
	$$compile -c requirements-local.txt --group dev -o requirements-dev.txt; \
	$$compile -c requirements-dev.txt --group mutation -o requirements-mutation.txt; \
	for tool in sam checkov debugger runtime; do \
	  $(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate --python-version 3.11 \
	    --group $$tool -o requirements-$$tool.txt; \
	done

# --- a stack on AWS; STACK=… is another name than samconfig.toml's, AWS_PROFILE and AWS_REGION are AWS's own ---
DEPLOYED = $(BIN)/python -m local.deployed $(if $(STACK),--stack "$(STACK)")
# No $(MAKE): make runs a line that has one even where it is only to show what it would do.
BUILD = MAKEFLAGS=--no-print-directory "$(SAM)" build

deploy: .venv/local $(TOOLS)/sam/ready ## put Darkroom on AWS, or bring what is there up to date
	@$(DEPLOYED) announce
	@built="$$($(DEPLOYED) architecture $(call typed,ARCHITECTURE,typed))" && \
	ARCHITECTURE="$$built" $(BUILD) --parameter-overrides "Architecture=$$built" && \
	$(DEPLOYED) deploy --sam "$(SAM)" --built "$$built"

fal-key: .venv/local ## give the deployed stack your fal key
	@$(DEPLOYED) fal-key

token: .venv/local ## make a token of the owner NAME=… for the deployed API
	@$(DEPLOYED) token $(call typed,NAME,name)

tokens: .venv/local ## who has a token
	@$(DEPLOYED) tokens

revoke: .venv/local ## take the token ID=… back
	@$(DEPLOYED) revoke $(call typed,ID,id)

# LOCAL may be typed or set in the terminal; 0 is as good as nothing.
LOCALLY = $(if $(filter-out 0,$(LOCAL)),--local)
pause: .venv/local ## stop all sending to fal, and with it all spending; LOCAL=1 of a running `make local`
	@$(DEPLOYED) pause $(LOCALLY)

resume: .venv/local ## let sending go on; LOCAL=1 of a running `make local`
	@$(DEPLOYED) resume $(LOCALLY)

logs: .venv/local $(TOOLS)/sam/ready ## follow what the deployed functions log
	@$(DEPLOYED) logs --sam "$(SAM)"

destroy: .venv/local $(TOOLS)/sam/ready ## delete the deployed stack, but not its pictures and jobs
	@$(DEPLOYED) destroy --sam "$(SAM)" $(if $(filter command,$(origin YES)),$(if $(YES),--yes))

build: $(TOOLS)/sam/ready ## what `make deploy` uploads, into .aws-sam; ARCHITECTURE=x86_64 for the other processor
	$(if $(filter-out arm64 x86_64,$(ARCHITECTURE)),$(error ARCHITECTURE is $(ARCHITECTURE): Lambda has arm64 and x86_64))
	@$(BUILD) $(if $(ARCHITECTURE),--parameter-overrides Architecture=$(ARCHITECTURE))
	@echo "Built for $(or $(ARCHITECTURE),arm64). \`make deploy\` builds for the stack's processor, and puts it on AWS."
	@echo "For containers on this machine, which is $$(uname -m), \`make local ENGINE=sam\` and \`make invoke\` build apart from this."

# `sam build` runs this once for each function, with the folder to fill. It does not say for which processor, but reads the
# Makefile in the folder that the template makes of its parameter: local/architectures/*/Makefile, which includes this one.
build-%:
	$(if $(filter-out $(BUILT_FOR),$(ARCHITECTURE)),$(error ARCHITECTURE is $(ARCHITECTURE), but the template's parameter \
	  Architecture is $(BUILT_FOR): give `sam build` and `sam deploy` --parameter-overrides Architecture=$(ARCHITECTURE)))
	@$(PYTHON) -m local.artifact $(BUILT_FOR) "$(ARTIFACTS_DIR)"

clean: ## delete what was installed and made
	@rm -rf .venv .tools .aws-sam demo-output .coverage .mypy_cache .pytest_cache .ruff_cache

# What is installed, each from its lock and nothing else. The file's time says when. The locks are whole, so pip has nothing to
# resolve (--no-deps): old ones look on the index for what an extra may mean, and stop at a release newer than the lock's.
# Python compiles what it imports when it first does (--no-compile), which is a small part of what is installed.
.venv/local: requirements-local.txt
	@$(call install,$<)
	@touch $@

.venv/dev: requirements-dev.txt
	@$(call install,$<)
	@touch $@ .venv/local

# fal's JavaScript client, which the emulator is tried with where there is a Node.
$(TOOLS)/javascript/ready: tests/local/fal/javascript/package-lock.json
	@rm -rf $(@D) && mkdir -p $(@D) && cp $(<D)/package.json $< $(@D)
	@if command -v npm >/dev/null; then npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent || \
	  { rm -rf $(@D)/node_modules; echo "npm could not install fal's JavaScript client: its tests are left out" >&2; }; fi
	@touch $@

# Tools that pin what they need have a venv each.
$(TOOLS)/%/ready: requirements-%.txt
	@echo "Installing $< into $(@D) (once, up to a minute) …"
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(call install-lock,$(@D),$<)
	@touch $@

define install
if [ -z "$(PYTHON)" ]; then echo "Darkroom needs Python 3.11 or newer, and found none: set PYTHON to one." >&2; exit 1; fi; \
[ -x $(BIN)/pip ] || $(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo "python -m venv failed: is your system's venv package installed?" >&2; exit 1; }; \
echo "Installing $(1) into .venv (once, up to a minute) …"; \
$(call install-lock,.venv,$(1))
endef

# Into a venv, what a lock says; then whether that is all that is needed.
define install-lock
$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r $(2) && \
{ missing="$$($(1)/bin/python -m pip --disable-pip-version-check check)" || { echo "$(2) is not whole, or old packages are left beside it (make clean removes them): $$missing" >&2; exit 1; }; }
endef
