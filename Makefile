# The task file. `make demo` and `make test` set up whatever they need.
PYTHON ?= python3.13
export AWS_EC2_METADATA_DISABLED := true
export SAM_CLI_TELEMETRY := 0

# One environment per concern: SAM CLI and the local cloud pin botocore versions of their own, and the Lambda
# runtime must hold nothing but the runtime client, so that whatever the artifact lacks is missed.
dev := .venv/dev/bin
envs := .venv/dev/.ready .venv/sam/.ready .venv/cloud/.ready .venv/lambda/.ready

.venv/dev/.ready: src/requirements.txt
.venv/%/.ready: requirements/%.txt
	$(PYTHON) -m venv --clear .venv/$*
	.venv/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

.PHONY: setup
setup: $(envs)  ## Make the four environments (two cores: -j2 is quicker).
