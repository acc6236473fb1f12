"""Template and code are held together here."""

import ast
import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from artifact import build
from shared.domain import errors
from shared.domain.errors import ArrivalError
from shared.gates.settings import VARIABLES
from tests.unit.builders import REPOSITORY
from tests.unit.resolved import FUNCTIONS, GLOBALS, TEMPLATE
from tools.template import deployed


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


def test_the_artifact_holds_every_operation_that_is_called() -> None:
    """Models are cut to these: one more call needs one more entry."""
    source = "".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
    called = set(re.findall(r"\b(?:s3|sfn)\.([a-z0-9_]+)\(", source))

    ours = {"".join(part.title() for part in name.split("_")) for name in called}

    assert ours | {"HeadBucket"} == set().union(*build.OPERATIONS.values())


def test_the_artifact_holds_every_member_that_is_read() -> None:
    """Of what S3 says of an object: one more field to read needs one more entry."""
    source = (REPOSITORY / "src" / "shared" / "gates" / "s3.py").read_text()
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
            for one in policy["Statement"]:
                statement = one[1] if isinstance(one, list) else one  # !If: one that only some stacks have
                assert "*" not in json.dumps(statement["Action"])
                assert statement["Resource"] != "*"


@pytest.mark.parametrize("name", ["workflow", "backfill", "window", "overdue"])
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


MACHINE = "arn:aws:states:us-east-2:123456789012:stateMachine:MyStateMachine"
ATTACHED = {"SourceBucketName": "my-bucket", "StateMachineArn": MACHINE}
KEY = "arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# The most characters that AWS allows in the names that the template gives.
LONGEST = {
    "RuleName": 64,
    "AWS::CloudWatch::Dashboard": 255,
    # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateArchive.html
    "AWS::Events::Archive": 48,
    "AWS::Glue::Job": 255,
    "AWS::Logs::LogGroup": 512,
    "AWS::Logs::QueryDefinition": 255,
    "AWS::Serverless::StateMachine": 80,
}


def properties(logical_id: str, **parameters: Any) -> Any:
    """Return the properties of a resource of a stack with these parameters."""
    return deployed(**parameters)["Resources"][logical_id]["Properties"]


def statements(policies: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the statements of a role's or function's policies by their Sid."""
    return {one["Sid"]: one for policy in policies for one in policy.get("PolicyDocument", policy)["Statement"] if one}


def physical_names(stack: dict[str, Any]) -> list[tuple[str, str]]:
    """Return kind and name of all that the template names itself; CloudFormation makes up the others."""
    names = []
    for one in stack["Resources"].values():
        given = one.get("Properties", {})
        names += [
            (one["Type"], given[key])
            for key in ("Name", "LogGroupName", "DashboardName", "ArchiveName")
            if key in given
        ]
        names += [("RuleName", event["Properties"]["RuleName"]) for event in given.get("Events", {}).values()]
    return names


@pytest.mark.parametrize(("characters", "fits"), [(49, True), (50, False)])
def test_a_stacks_name_may_have_49_characters(characters: int, *, fits: bool) -> None:
    """All names that are made from it are legal then; the README says so."""
    names = physical_names(deployed(name="s" * characters))

    assert fits == all(len(name) <= LONGEST[kind] for kind, name in names)
    # CloudFormation would make a longer one of the stack's name.
    assert "AWS::Events::Archive" in dict(names)
    assert "49 characters" in (REPOSITORY / "docs" / "deploy.md").read_text()


@pytest.mark.parametrize("target", ["curated/sales", "curated/sales/"])
def test_old_versions_of_the_output_expire(target: str) -> None:
    """Of exactly what lies in the target's folder, with or without a slash at the parameter's end."""
    rules = properties("SourceBucket", TargetPrefix=target)["LifecycleConfiguration"]["Rules"]

    assert ["curated/sales/"] == [one["Prefix"] for one in rules if "NoncurrentVersionExpiration" in one]


@pytest.mark.parametrize("parameters", [{}, ATTACHED])
def test_what_a_rule_cannot_deliver_ends_in_the_failure_queue(parameters: dict[str, str]) -> None:
    """Each rule has the queue for its dead letters, and may write to it."""
    resources = deployed(**parameters)["Resources"]
    rules = {
        f"arn:aws:events:us-east-2:123456789012:rule/{event['Properties']['RuleName']}": event["Properties"]
        for event in resources["StartExecutionFunction"]["Properties"]["Events"].values()
    }
    rules |= {
        f"{name}.Arn": target
        for name, one in resources.items()
        if one["Type"] == "AWS::Events::Rule"
        for target in one["Properties"]["Targets"]
    }
    [statement] = resources["FailureQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert (2 if parameters else 3) == len(rules)
    assert all({"Arn": "FailureQueue.Arn"} == rule["DeadLetterConfig"] for rule in rules.values())
    assert rules.keys() == set(statement["Condition"]["ArnEquals"]["aws:SourceArn"])


@pytest.mark.parametrize("qualifier", ["", ":3", ":PROD"])
def test_a_machine_may_be_started_by_version_and_alias(qualifier: str) -> None:
    """IAM checks the machine's own ARN, its metrics go by that too; what is started is the version or alias."""
    resources = deployed(**ATTACHED | {"StateMachineArn": MACHINE + qualifier})["Resources"]
    live, backfill = (
        statements(resources[name]["Properties"]["Policies"])
        for name in ("StartExecutionFunction", "BackfillBatchFunction")
    )

    assert (
        MACHINE + qualifier
        == deployed(**ATTACHED | {"StateMachineArn": MACHINE + qualifier})["Outputs"]["StateMachineArn"]["Value"]
    )
    assert MACHINE == live["StartTheWorkflow"]["Resource"] == backfill["StartTheWorkflow"]["Resource"]
    executions = MACHINE.replace(":stateMachine:", ":execution:")
    assert f"{executions}:*" == backfill["SeeWhatHasStarted"]["Resource"]
    assert MACHINE == resources["ExecutionsFailedAlarm"]["Properties"]["Dimensions"][0]["Value"]


NEW = '{"since": "PT26H", "until": "PT15M", "dry_run": false}'
MOVED = '{"since": "PT26H", "until": "PT15M", "not_before": "2026-11-24T05:20:00Z", "dry_run": false}'
FROM = {"BackfillFrom": "2026-11-24T05:20:00Z"}


@pytest.mark.parametrize(
    ("parameters", "scheduled"),
    [
        ({}, NEW),
        (FROM, MOVED),
        (ATTACHED, None),
        (ATTACHED | FROM, MOVED),
        ({"BackfillSchedule": ""}, None),
        (ATTACHED | FROM | {"BackfillSchedule": ""}, None),
    ],
)
def test_attaching_to_a_bucket_starts_nothing(parameters: dict[str, str], scheduled: str | None) -> None:
    """A schedule fires as soon as it is made: on a bucket that exists, only with a time to begin from."""
    resources = deployed(**parameters)["Resources"]
    schedule = resources.get("BackfillScheduler")

    assert scheduled == (schedule and schedule["Properties"]["Target"]["Input"])
    assert ("BackfillSchedulerRole" in resources) == bool(schedule)


def test_a_day_long_queue_succeeds() -> None:
    """The workflow waits for the busy job, or throttled Glue, two days even with the worst luck.

    And within the limit of its history, to which each redrive adds as much again.
    """
    definition = json.loads((REPOSITORY / "statemachine" / "workflow.asl.json").read_text())
    # One retrier counts its tries whatever the error was, so a full job and a throttled start share these two days.
    [busy] = [
        one
        for one in definition["States"]["Run the Glue job"]["Retry"]
        if {"Glue.ConcurrentRunsExceededException", "Glue.AWSGlueException"} <= set(one["ErrorEquals"])
    ]
    longest = [
        min(busy["IntervalSeconds"] * busy["BackoffRate"] ** attempt, busy["MaxDelaySeconds"])
        for attempt in range(busy["MaxAttempts"])
    ]
    # Each wait is anything between 0 and its longest.
    mean, deviation = sum(longest) / 2, sum(one**2 / 12 for one in longest) ** 0.5

    assert "FULL" == busy["JitterStrategy"]
    assert mean - 6 * deviation > 2 * 86400
    # Scheduled, started, submitted, failed: four events a try at most. Seven redrives fit after the first wait.
    events = 4 * sum(one["MaxAttempts"] for one in definition["States"]["Run the Glue job"]["Retry"])
    assert (1 + 7) * events < 25_000
    assert "TimeoutSeconds" not in definition


def test_a_key_of_ones_own_may_be_used_by_the_job_alone() -> None:
    """HEAD and listings need no key; without SourceKmsKeyArn nobody may use any."""
    with_key, without = deployed(SourceKmsKeyArn=KEY), deployed()
    used = statements(with_key["Resources"]["GlueJobRole"]["Properties"]["Policies"])["UseTheKey"]

    assert (["kms:Decrypt", "kms:GenerateDataKey"], KEY) == (used["Action"], used["Resource"])
    assert 1 == json.dumps(with_key).count("kms:Decrypt")
    assert "kms:" not in json.dumps(without)
    [encryption] = with_key["Resources"]["SourceBucket"]["Properties"]["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY} == encryption["ServerSideEncryptionByDefault"]
    assert encryption["BucketKeyEnabled"] is True
    [encryption] = without["Resources"]["SourceBucket"]["Properties"]["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}} == encryption


def test_a_storm_waits_in_lambdas_queue() -> None:
    """Only where it is asked for: an account with little concurrency could not deploy otherwise."""
    assert 20 == properties("StartExecutionFunction", MaxConcurrency=20)["ReservedConcurrentExecutions"]
    assert "ReservedConcurrentExecutions" not in properties("StartExecutionFunction")


@pytest.mark.parametrize(
    ("parameters", "topics"),
    [
        ({}, set()),
        ({"AlarmEmail": "on-call@example.com"}, {"AlarmTopic", "FailureTopic"}),
        (ATTACHED | {"AlarmEmail": "on-call@example.com"}, {"AlarmTopic"}),
    ],
)
def test_somebody_hears_the_topics(parameters: dict[str, str], topics: set[str]) -> None:
    """AlarmEmail gets alarms and failures, not successes."""
    stack = deployed(**parameters)
    subscribed = [one["Properties"] for one in stack["Resources"].values() if one["Type"] == "AWS::SNS::Subscription"]

    assert topics == {one["TopicArn"] for one in subscribed}
    assert all(("email", "on-call@example.com") == (one["Protocol"], one["Endpoint"]) for one in subscribed)
    assert {name for name, one in stack["Resources"].items() if one["Type"] == "AWS::SNS::Topic"} == {
        one["Value"] for name, one in stack["Outputs"].items() if name.endswith("TopicArn")
    }


@pytest.mark.parametrize(
    ("partition", "host"),
    [
        ("aws", "us-east-2.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_dashboards_address_is_the_partitions(partition: str, host: str) -> None:
    """Each has a console of its own."""
    stack = deployed(partition=partition)

    assert stack["Outputs"]["DashboardUrl"]["Value"].startswith(f"https://{host}/cloudwatch/home?region=")
    assert ("arn:aws:" in json.dumps(stack)) == (partition == "aws")


def test_the_error_tree_is_complete() -> None:
    """The docstring draws every error there is."""
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
    assert not {one for one in imported if one.startswith("handlers")}
    if path.parent.name == "domain":
        assert not {
            one
            for one in imported
            if one.split(".")[0] in OUTSIDE
            or not (one.startswith(PURE) or one.split(".")[0] in sys.stdlib_module_names)
        }
        called = {node.attr for node in parsed if isinstance(node, ast.Attribute)}
        assert called.isdisjoint({"now", "today", "utcnow", "environ", "getenv"})
