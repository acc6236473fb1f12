"""Template and code are held together here."""

import ast
import importlib
import inspect
import json
import re

import pytest

from artifact import build
from local.template import read_template
from shared import aws, errors
from shared.errors import ArrivalError, SettingsError
from shared.settings import VARIABLES, read_route, trace_header
from tests.unit.builders import ENVIRONMENT, REPOSITORY, route

TEMPLATE = read_template()
FUNCTIONS = {
    name: one["Properties"] for name, one in TEMPLATE["Resources"].items() if one["Type"] == "AWS::Serverless::Function"
}
GLOBALS = TEMPLATE["Globals"]["Function"]


def test_the_environment_is_the_routes() -> None:
    """Every variable the code reads is set, and every one that is set is read."""
    others = {"POWERTOOLS_SERVICE_NAME", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SFN"}

    assert set(VARIABLES.values()) | others == set(GLOBALS["Environment"]["Variables"])


def test_sam_local_can_set_what_it_is_given() -> None:
    """`--env-vars` silently ignores a variable that the template doesn't declare."""
    given = json.loads((REPOSITORY / "local" / "sam-local.json").read_text())["Parameters"]

    assert {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SFN"} == set(given)
    assert set(given) <= set(GLOBALS["Environment"]["Variables"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_handler_imports(name: str) -> None:
    """A typo would be found by the first event otherwise."""
    module, function = FUNCTIONS[name]["Handler"].rsplit(".", 1)

    assert callable(getattr(importlib.import_module(module), function))


def test_the_worst_case_ends_inside_the_timeout() -> None:
    """Two calls with all their attempts and pauses leave time to report the failure."""
    pauses = sum(2**attempt for attempt in range(aws.ATTEMPTS - 1))
    call = aws.ATTEMPTS * (aws.CONNECT_TIMEOUT + aws.READ_TIMEOUT) + pauses

    assert 2 * call < 0.6 * GLOBALS["Timeout"]


def test_the_artifact_holds_every_operation_that_is_called() -> None:
    """Models are cut to these: one more call needs one more entry."""
    source = "".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
    called = set(re.findall(r"\b(?:s3|sfn)\.([a-z_]+)\(", source))

    ours = {"".join(part.title() for part in name.split("_")) for name in called}

    assert ours | {"HeadBucket"} == set().union(*build.OPERATIONS.values())


def test_the_artifact_holds_every_member_that_is_read() -> None:
    """Of what S3 says of an object: one more field to read needs one more entry."""
    source = (REPOSITORY / "src" / "shared" / "s3.py").read_text()
    read = re.findall(r"\bhead(?:\[|\.get\()\"(\w+)\"", source)

    assert sorted(build.MEMBERS["HeadObjectOutput"]) == sorted(read)


def test_the_contract_is_kept() -> None:
    """Parameters with defaults, outputs and logical ids that users rely on."""
    parameters = {
        "SourceBucketName": "",
        "SourcePrefix": "input/lab2/eventdriven/",
        "JobName": "ny-taxi-transformed-console-jb",
        "TargetPrefix": "target/event-transformed",
        "GlueMaxCapacityDpus": 2,
        "StateMachineArn": "",
        "AlarmEmail": "",
    }
    outputs = {
        "SourceBucketName",
        "StateMachineArn",
        "StartExecutionFunctionName",
        "FailureQueueUrl",
        "BackfillStateMachineArn",
    }

    assert parameters == {name: TEMPLATE["Parameters"][name]["Default"] for name in parameters}
    assert outputs <= TEMPLATE["Outputs"].keys()
    assert "StartExecutionFunction" in FUNCTIONS
    assert all("Default" in parameter for parameter in TEMPLATE["Parameters"].values())


def test_no_function_may_do_everything() -> None:
    """No statement of a function's has a wildcard action or resource."""
    for properties in FUNCTIONS.values():
        for policy in properties.get("Policies", []):
            for statement in policy["Statement"]:
                assert "*" not in json.dumps(statement["Action"])
                assert statement["Resource"] != "*"


@pytest.mark.parametrize("name", ["workflow", "backfill"])
def test_definitions_use_what_the_template_gives(name: str) -> None:
    """Each substitution is used, and nothing is left over."""
    text = (REPOSITORY / "statemachine" / f"{name}.asl.json").read_text()
    [machine] = [
        one["Properties"]
        for one in TEMPLATE["Resources"].values()
        if one["Type"] == "AWS::Serverless::StateMachine" and name in one["Properties"]["DefinitionUri"]
    ]

    assert json.loads(text)["StartAt"] in json.loads(text)["States"]
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(machine["DefinitionSubstitutions"])


def test_every_line_can_be_compared() -> None:
    """A change to one metric or alarm shows as a change to its own lines."""
    lines = (REPOSITORY / "template.yaml").read_text().splitlines()

    assert [] == [line for line in lines if len(line) > 120]


def test_the_functions_of_a_backfill_are_tried_again_alike() -> None:
    """The definition can't share the block, so that it stands there three times."""
    definition = json.loads((REPOSITORY / "statemachine" / "backfill.asl.json").read_text())
    states = {**definition["States"], **definition["States"]["Look at every object"]["ItemProcessor"]["States"]}
    retries = [one["Retry"] for one in states.values() if str(one.get("Resource", "")).endswith("lambda:invoke")]

    assert 3 == len(retries)
    assert all(retries[0] == one for one in retries)


def test_settings_are_read_or_refused_whole() -> None:
    """All that is wrong is said at once."""
    assert route() == read_route(ENVIRONMENT)
    with pytest.raises(SettingsError, match=r"SOURCE_BUCKET_NAME.*GLUE_MAX_CAPACITY_DPUS"):
        read_route(
            {name: value for name, value in ENVIRONMENT.items() if name != "SOURCE_BUCKET_NAME"}
            | {"GLUE_MAX_CAPACITY_DPUS": "two"}
        )


def test_the_trace_header_is_the_invocations() -> None:
    """Read anew each time, since the runtime sets it anew."""
    assert trace_header({}) is None
    assert "Root=1" == trace_header({"_X_AMZN_TRACE_ID": "Root=1"})


def test_the_error_tree_is_complete() -> None:
    """The docstring draws every error there is."""
    found = {name for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, ArrivalError)}

    assert set(re.findall(r"\b\w+Error\b", errors.__doc__ or "")) == found


def test_shared_imports_nothing_from_handlers() -> None:
    """Handlers are the composition roots; the domain doesn't know them."""
    for path in (REPOSITORY / "src" / "shared").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("handlers")
