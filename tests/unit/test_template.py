"""Template and code are held together here."""

import ast
import inspect
import json
import re
import sys
from pathlib import Path

import pytest

from artifact import build
from shared.domain import errors
from shared.domain.errors import ArrivalError
from shared.gates.settings import VARIABLES
from tests.unit.builders import REPOSITORY
from tests.unit.resolved import GLOBALS, OTHER
from tools.template import deployed


def test_every_variable_is_read_and_set() -> None:
    """By the code, a library, or the SDK; `sam local --env-vars` ignores one that the template doesn't declare."""
    given = json.loads((REPOSITORY / "local" / "sam-local.json").read_text())["Parameters"].keys()

    assert {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SFN"} == given
    libraries = {"POWERTOOLS_SERVICE_NAME", "PYDANTIC_DISABLE_PLUGINS"}
    assert {*VARIABLES.values(), *given, *libraries} == GLOBALS["Environment"]["Variables"].keys()


def test_the_artifact_holds_every_operation_and_member_that_is_used() -> None:
    """Models are cut to these: one more call, or one more field of what S3 says of an object, needs one more entry."""
    source = "".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
    called = {one.title().replace("_", "") for one in re.findall(r"\b(?:s3|sfn)\.([a-z0-9_]+)\(", source)}

    assert called | {"HeadBucket"} == set().union(*build.OPERATIONS.values())
    assert build.MEMBERS["HeadObjectOutput"] == set(re.findall(r"\bhead(?:\[|\.get\()\"(\w+)\"", source))


ATTACHED = {"SourceBucketName": OTHER["SourceBucketName"]}


@pytest.mark.parametrize("parameters", [{}, {"StateMachineArn": OTHER["StateMachineArn"]}], ids=str)
def test_what_a_rule_cannot_deliver_ends_in_the_failure_queue(parameters: dict[str, str]) -> None:
    """Each rule has the queue for its dead letters, and may write to it."""
    resources = deployed(**parameters)["Resources"]
    rules = {
        f"arn:aws:events:us-east-2:123456789012:rule/{event['Properties']['RuleName']}": event["Properties"]
        for event in resources["StartExecutionFunction"]["Properties"]["Events"].values()
    }
    own = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::Events::Rule"}
    rules |= {f"{name}.Arn": target for name, one in own.items() for target in one["Targets"]}
    [statement] = resources["FailureQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert len(rules) > 1
    assert [] == [name for name, rule in rules.items() if rule.get("DeadLetterConfig") != {"Arn": "FailureQueue.Arn"}]
    assert rules.keys() == set(statement["Condition"]["ArnEquals"]["aws:SourceArn"])


FROM = {"BackfillFrom": "2026-11-24T05:20:00Z"}
NEVER = {"BackfillSchedule": ""}


@pytest.mark.parametrize(
    ("parameters", "scheduled"),
    [({}, True), (ATTACHED, False), (ATTACHED | FROM, True), (NEVER, False), (ATTACHED | FROM | NEVER, False)],
    ids=str,
)
def test_attaching_to_a_bucket_starts_nothing(parameters: dict[str, str], *, scheduled: bool) -> None:
    """A schedule fires as soon as it is made: on a bucket that exists, only with a time to begin from."""
    resources = deployed(**parameters)["Resources"]

    assert scheduled == ("BackfillScheduler" in resources) == ("BackfillSchedulerRole" in resources)
    bounded = "not_before" in str(resources.get("BackfillScheduler"))
    assert bounded == (scheduled and "BackfillFrom" in parameters), "the time to begin from"


def test_the_error_tree_is_complete() -> None:
    found = {name for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, ArrivalError)}

    assert set(re.findall(r"\b\w+Error\b", errors.__doc__ or "")) == found


# Of what is not the standard library's, the domain may use these; of the standard library, none that reaches outside.
PURE = ("shared.domain", "cronsim", "pydantic", "aws_lambda_powertools.utilities.parser")
OUTSIDE = {"os", "io", "pathlib", "random", "socket", "subprocess", "sys", "tempfile", "time", "urllib", "uuid"}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "src" / "shared").rglob("*.py")), ids=lambda path: path.stem)
def test_each_module_keeps_to_its_wing(path: Path) -> None:
    """The domain imports nothing of the gates and nothing that reaches outside; neither wing knows the handlers."""
    parsed = list(ast.walk(ast.parse(path.read_text())))
    imported = {node.module or "" for node in parsed if isinstance(node, ast.ImportFrom)}
    imported |= {one.name for node in parsed if isinstance(node, ast.Import) for one in node.names}
    harmless = {one for one in imported if one.split(".")[0] in sys.stdlib_module_names - OUTSIDE}
    called = {node.attr for node in parsed if isinstance(node, ast.Attribute)}

    assert not {one for one in imported if one.startswith("handlers")}
    if path.parent.name == "domain":
        assert not {one for one in imported - harmless if not one.startswith(PURE)}
        assert not called & {"now", "today", "utcnow", "environ", "getenv"}
