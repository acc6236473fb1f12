# The task file. `make demo` and `make test` set up their environments themselves.
PYTHON ?= python3.13
export AWS_EC2_METADATA_DISABLED := true
export SAM_CLI_TELEMETRY := 0
# The environments are not compiled when they are installed. So Python has to keep the modules that it compiles, even if
# the shell says that it should not: otherwise each process compiles all of them again.
export PYTHONDONTWRITEBYTECODE :=

# One environment per concern: SAM CLI and the local cloud pin botocore versions of their own. The one of the Lambda
# runtime has only the runtime client, so a package that the artifact lacks makes an error. Most modules are never
# imported; Python compiles the others when they are.
dev := .venv/dev/bin
# The slowest one comes first.
envs := .venv/spark/.ready .venv/sam/.ready .venv/dev/.ready .venv/cloud/.ready .venv/lambda/.ready

.venv/dev/.ready: src/requirements.txt
# PySpark comes as a source, and the wheel that pip makes of it is used once.
.venv/spark/.ready: options := --config-settings=--build-option=--compression=stored
.venv/%/.ready: requirements/%.txt
	$(PYTHON) -m venv --clear .venv/$*
	.venv/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes $(options) -r $<
	touch $@

# The command from this checkout. It needs no build and no absolute path: the script finds its checkout by its own path.
$(dev)/arrivals: tools/arrivals .venv/dev/.ready
	install -m 755 $< $@

.PHONY: setup
setup:  ## Make the five environments, two at a time, and the command: .venv/dev/bin/arrivals
	@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j2) $(envs) $(dev)/arrivals

.PHONY: demo
demo: setup  ## Build, deploy to a local cloud, upload a CSV, and watch it become Parquet.
	$(dev)/python -m local.demo

.PHONY: local
local: setup  ## Keep the local cloud up, with the stack deployed, until Ctrl-C. For containers: HOST=172.17.0.1
	$(dev)/python -m local.playground --host "$(HOST)"

# The make of macOS is of 2006 and doesn't know it.
sync := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
# Spark takes longest, on little more than one processor, and starts as soon as there is a build. Tests of the local
# cloud often wait.
.PHONY: test
test: setup  ## Everything that CI runs, three targets at a time.
	@$(MAKE) --no-print-directory -j3 $(sync) routes build lint spark unit integration

.PHONY: lint
lint: .venv/dev/.ready .venv/sam/.ready  ## Style, types, the template, spelling.
	$(dev)/ruff check .
	$(dev)/ruff format --check .
	$(dev)/mypy src artifact benchmarks local tests tools
	.venv/sam/bin/sam validate --lint
	$(dev)/codespell

.PHONY: build
build: .venv/dev/.ready .venv/sam/.ready  ## Run `sam build`, with a real python3.13 first on the PATH.
	PATH="$(CURDIR)/$(dev):$$PATH" .venv/sam/bin/sam build

.PHONY: unit
unit: .venv/dev/.ready .venv/sam/.ready  ## The tests that need no local cloud: units, pages, simulation.
	$(dev)/python -m pytest -n 2 tests/unit tests/docs tests/simulation tests/test_make.py

# No test of these uses Hypothesis, and its import takes each process two seconds.
.PHONY: integration
integration: build $(envs) $(dev)/arrivals  ## The deployed template on the local cloud, and the cloud itself.
	$(dev)/python -m pytest -p no:hypothesispytest -n 3 tests/emulator tests/integration tests/test_make.py

# Aliases of `arrivals`. Values come from the environment, where make puts them, so that a key may hold any character.
stack = $${STACK:+--stack "$$STACK"} $${ROUTES:+--routes "$$ROUTES"}

.PHONY: why
why: $(dev)/arrivals  ## The story of an object: make why KEY=… STACK=glueworkshop; or KEY='…' make why
	@$(dev)/arrivals why $(stack) -- "$$KEY" || test $$? -eq 1

.PHONY: expected
expected: $(dev)/arrivals  ## The data that should have come by now, and its arrival: make expected STACK=glueworkshop
	@$(dev)/arrivals expected $(stack) || test $$? -eq 1

.PHONY: spark
spark: build $(envs)  ## The Glue job on a real Spark, alone and as the local cloud's Glue runs it.
	.venv/spark/bin/python -m pytest tests/glue

.PHONY: route
route: $(dev)/arrivals  ## The route that takes a key: make route KEY=… SIZE=bytes; or KEY='…' make route
	@$(dev)/arrivals route $(stack) $${SIZE:+--size "$$SIZE"} -- "$$KEY" || test $$? -eq 1

.PHONY: routes
routes: $(dev)/arrivals  ## All routes with match, job and target; of a deployed stack with STACK=…
	@$(dev)/arrivals routes $(stack)

.PHONY: resolved
resolved: .venv/dev/.ready  ## Write the reviewed stack of tests/unit/reviewed/ again, after an intended change of the template.
	$(dev)/python -m tests.unit.resolved

.PHONY: simulate
simulate: .venv/dev/.ready  ## Run the simulation at length.
	$(dev)/python -m tests.simulation

# Tests that need the local cloud are marked local_only.
E2E ?= $(addprefix tests/integration/test_,arrivals.py failures.py roles.py second_chances.py)
.PHONY: e2e
e2e: $(dev)/arrivals  ## The integration tests on a stack in your account: make e2e STACK=glueworkshop-e2e, then YES=1
	@test -n "$(STACK)" || { echo "Which stack? make e2e STACK=glueworkshop-e2e"; exit 1; }
	$(dev)/python -m pytest -s --stack "$(STACK)" $(if $(filter 1,$(YES)),--yes) $(E2E)

.PHONY: bench
bench: $(envs)  ## Measure the function beside its peers; takes some minutes.
	$(dev)/python -m benchmarks
	$(dev)/python -m benchmarks.throughput
	.venv/spark/bin/python -m benchmarks.job

lists := src/requirements $(addprefix requirements/,dev sam cloud lambda peers spark)
.PHONY: lock
lock:  ## Pin the packages of requirements/*.in and src/requirements.in again; one list: ONLY=cloud. Needs uv.
	for name in $(if $(ONLY),requirements/$(ONLY),$(lists)); do \
		uv pip compile --quiet --upgrade --generate-hashes --python-version 3.13 --no-emit-index-url \
			--no-emit-find-links --custom-compile-command "make lock" $$name.in -o $$name.txt || exit 1; done

.PHONY: help
help:  ## This list.
	@awk -F ':[^#]*## ' '/^[a-z0-9]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
