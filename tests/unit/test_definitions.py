"""The state machines, as far as they can be judged without running them: their ways, their patience, their limits."""

import itertools
import json
import re
from typing import Any

import botocore.session
import pytest

from shared.domain.plan import execution_input
from tests.unit.builders import REPOSITORY, chosen, item, stack, states, stored
from tests.unit.permissions import statements
from tests.unit.resolved import FUNCTIONS, RESOURCES

# A standard workflow's: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
HISTORY = 25_000
ALL = {"States.ALL"}
SINCE = "$toMillis($states.context.Execution.StartTime)"
# Errors that pass, so that a retry helps. Lambda's:
# https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
LAMBDA_PASSES = {
    *(f"Lambda.{one}Exception" for one in ("Service", "AWSLambda", "SdkClient", "ClientExecutionTimeout")),
    *("Lambda.TooManyRequestsException", "Lambda.Unknown", "Sandbox.Timedout", "RetryableCallError"),
}
# A full job and a throttled start: one storm makes both, so one budget waits for both.
GLUE_IS_BUSY = {
    *(f"Glue.{one}ExceededException" for one in ("ConcurrentRuns", "ResourceNumberLimit")),
    *("Glue.ThrottlingException", "Glue.AWSGlueException"),
}
GLUE_PASSES = {"Glue.OperationTimeoutException", "Glue.InternalServiceException"}
# No retry helps, so nobody may wait for two days to hear of it.
GLUE_REFUSES = {"EntityNotFoundException", "InvalidInputException", "AccessDeniedException", "ValidationException"}
# Machine and task; errors, the hours it waits before it gives up (on average of the jitter: at least so many, and less
# than twice as many), and its first and its longest pause in seconds. 58 hours are hardly ever less than two days.
PATIENCE: list[tuple[str, str, set[str], float, tuple[int, int]]] = [
    ("workflow", "Run the Glue job", GLUE_IS_BUSY, 58, (15, 900)),
    ("workflow", "Run the Glue job", GLUE_PASSES, 0.9, (5, 300)),
    ("workflow", "Notify success", {"States.TaskFailed"}, 0.03, (2, 60)),
    ("window", "Collect", ALL, 6, (2, 600)),
    *(("backfill", one, LAMBDA_PASSES, 0.1, (5, 300)) for one in ("Read the request", "Decide on a batch", "Report")),
    *(("overdue", f"Tell that it {what}", ALL, 6, (2, 600)) for what in ("is missing", "has come")),
    ("overdue", "Look again", ALL, 0.01, (5, 40)),
]
# Every way through a machine, by its steps.
WAYS = {
    "workflow": ["Start > Run the Glue job > Notify success > End"],
    "window": ["Start > Wait until it is over > Collect > End"],
    "backfill": [
        "Start > Read the request > Look at every object > Report > Did any object fail? > Done > End",
        "Did any object fail? > Say what failed > Some objects failed > End",
    ],
    "overdue": [
        "Start > Tell that it is missing > Wait a quarter of an hour > Look again > Has it come?",
        "Has it come? > Tell that it has come > End",
        "Has it come? > It has not come > End",
        "Has it come? > Wait a quarter of an hour",
    ],
}


BATCHES = states("backfill")["Look at every object"]


def all_states(machine: str) -> dict[str, Any]:
    """Return a machine's states, those inside a Map too."""
    outer = states(machine)
    return outer | BATCHES["ItemProcessor"]["States"] if machine == "backfill" else outer


def text_of(machine: str) -> str:
    return (REPOSITORY / "statemachine" / f"{machine}.asl.json").read_text()


@pytest.mark.parametrize("machine", WAYS)
def test_a_machine_goes_its_ways(machine: str) -> None:
    steps = {("Start", json.loads(text_of(machine))["StartAt"])}
    for name, state in states(machine).items():
        ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
        following = [one[field] for one in ways for field in ("Next", "Default") if field in one]
        steps |= {(name, one) for one in following or ["End"]}

    assert {step for way in WAYS[machine] for step in itertools.pairwise(way.split(" > "))} == steps


@pytest.mark.parametrize("machine", WAYS)
def test_what_passes_is_waited_for(machine: str) -> None:
    """Each task retries what passes, with full jitter, long enough; nothing else is retried."""
    wanted = {(task, *sorted(errors)): (hours, ends) for one, task, errors, hours, ends in PATIENCE if one == machine}
    found: dict[tuple[str, ...], tuple[float, tuple[int, int]]] = {}
    for name, task in all_states(machine).items():
        assert ("Retry" in task) == (task["Type"] == "Task"), name
        for one in task.get("Retry", []):
            longest = [
                min(one["IntervalSeconds"] * one["BackoffRate"] ** attempt, one["MaxDelaySeconds"])
                for attempt in range(one["MaxAttempts"])
            ]
            assert "FULL" == one.get("JitterStrategy"), name
            found[name, *sorted(one["ErrorEquals"])] = sum(longest) / 2 / 3600, (longest[0], longest[-1])

    assert {key: pauses for key, (_, pauses) in wanted.items()} == {key: pauses for key, (_, pauses) in found.items()}
    assert {} == {key: hours for key, (hours, _) in found.items() if not wanted[key][0] <= hours < 2 * wanted[key][0]}


def test_what_no_retry_helps_fails_at_once() -> None:
    """A wrong job name, a denied start: heard in seconds. All that Glue's API names is on one of the lists above."""
    model = botocore.session.get_session().get_service_model("glue")
    named = {error.name for error in model.operation_model("StartJobRun").error_shapes}
    retried = {error.removeprefix("Glue.") for error in GLUE_IS_BUSY | GLUE_PASSES}

    assert set() == named - retried - GLUE_REFUSES
    # By Glue's own model: an error that its SDK has no name for is an AWSGlueException.
    assert set() == GLUE_REFUSES - set(model.shape_names)


def test_a_redriven_execution_fits_its_history() -> None:
    """To which each redrive adds as much again: seven fit after the first wait, and nothing ends it before."""
    attempts = sum(one["MaxAttempts"] for one in states("workflow")["Run the Glue job"]["Retry"])

    # Scheduled, started, submitted, failed: four events a try at most.
    assert (1 + 7) * 4 * attempts < HISTORY, "events of eight waits"
    assert "TimeoutSeconds" not in json.loads(text_of("workflow"))


def test_a_redrive_goes_on_where_it_failed() -> None:
    """A Catch would end the workflow past the Glue run; of a backfill only the children that failed run again."""
    machines = ("workflow", "window", "backfill")

    assert [] == [name for one in machines for name, state in all_states(one).items() if "Catch" in state]
    assert [] == [field for field in BATCHES if field.startswith("ToleratedFailure")]
    assert {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"} == BATCHES["ItemProcessor"]["ProcessorConfig"]


def test_a_backfill_looks_at_what_was_asked_for_and_leaves_live_arrivals_their_rate() -> None:
    """Four batches at some 25 starts a second; a batch reads its objects in its function's time, two seconds each."""
    batcher, selector = BATCHES["ItemBatcher"], BATCHES["ItemSelector"]

    assert {"Bucket.$": "$.request.bucket", "Prefix.$": "$.request.prefix"} == BATCHES["ItemReader"]["Parameters"]
    assert {f"{name}.$" for name in item("x")} == selector.keys()
    assert [] == [name for name, path in selector.items() if not path.endswith(f".{name[:-2]}")]
    # Half of the 256 KiB that Step Functions takes.
    assert batcher["MaxInputBytesPerBatch"] <= 256 * 1024 / 2, "bytes"
    assert 4 == BATCHES["MaxConcurrency"], "batches at the same time"
    assert 2 * batcher["MaxItemsPerBatch"] < FUNCTIONS["BackfillBatchFunction"]["Timeout"], "seconds"


def test_the_report_reads_what_the_map_writes() -> None:
    """One answer a line, the answers alone, where the role may write; the label is part of each child's ARN."""
    writer = BATCHES["ResultWriter"]
    [may] = [one for one in statements("BackfillStateMachine") if one.get("Sid") == "WriteResults"]

    assert {"OutputType": "JSONL", "Transformation": "COMPACT"} == writer["WriterConfig"]
    assert may["Resource"].endswith(f"/{writer['Parameters']['Prefix']}/*")
    assert "batches" == BATCHES["Label"]
    assert states("backfill")["Some objects failed"]["Error"] in (REPOSITORY / "docs" / "runbook.md").read_text()


@pytest.mark.parametrize("machine", ["window", "backfill", "overdue"])
def test_a_function_gets_all_and_its_answer_goes_on(machine: str) -> None:
    """What it is called with is the state's input; what goes on is its payload, without Lambda's envelope."""
    tasks = {name: one for name, one in all_states(machine).items() if ":lambda:invoke" in one.get("Resource", "")}

    assert tasks
    for name, one in tasks.items():
        given = one.get("Arguments", {}).get("Payload") or one["Parameters"]["Payload.$"]
        outputs = [one.get(field) for field in ("Output", "OutputPath", "ResultSelector")]
        assert given in {"{% $states.input %}", "$"}, name
        assert re.search(r"\$(?:states\.result)?\.Payload\b", json.dumps(outputs)), name


def test_a_message_says_what_it_is_about() -> None:
    """Subject and message of one thing; what was told is not lost, and the subject is one that SNS takes."""
    told, overdue = states("workflow")["Notify success"], states("overdue")

    assert told.get("ResultPath", "the answer of SNS") is None
    assert re.fullmatch(r"[ -~]{1,99}", told["Parameters"]["Subject"])
    assert "{% $states.input %}" == overdue["Tell that it is missing"].get("Output")
    for state, of in (("Tell that it is missing", ""), ("Tell that it has come", "look.")):
        assert {name: f"{{% $states.input.{of}{name.lower()} %}}" for name in ("Subject", "Message")} == {
            name: text for name, text in overdue[state]["Arguments"].items() if name != "TopicArn"
        }


def test_the_job_gets_what_it_reads() -> None:
    """By the same names; a manifest where there is one; the capacity of the route, of the template's kind of worker."""
    arguments = states("workflow")["Run the Glue job"]["Arguments"]
    pairs = re.findall(r"'--(\w+)': \$states\.input\.(\w+)", arguments["Arguments"])
    script = (REPOSITORY / "glue" / "ny_taxi_transformed.py").read_text()
    [required] = re.findall(r"getResolvedOptions\(sys\.argv, \[(.*?), \*", script)
    given = json.loads(execution_input(stored(), chosen(), stack()))

    assert [(name, name) for name in re.findall(r'"(\w+)"', required)] + [("MANIFEST", "manifest")] == pairs
    assert "$exists($states.input.manifest) ? {" in arguments["Arguments"]
    assert "{% $states.input.JOB_NAME %}" == arguments["JobName"]
    assert "{% $states.input.glue_max_capacity_dpus %}" == arguments["NumberOfWorkers"]
    assert RESOURCES["GlueJob"]["Properties"]["WorkerType"] == arguments["WorkerType"]
    # These two not always.
    read = set(re.findall(r"\$states\.input\.(\w+)", json.dumps(arguments)))
    assert {"manifest", "parameters"} == read - given.keys()


@pytest.mark.parametrize(
    ("machine", "task", "function"),
    [("window", "Collect", "CollectWindowFunction"), ("overdue", "Look again", "LookAgainFunction")],
)
def test_a_task_is_given_up_after_its_function_is(machine: str, task: str, function: str) -> None:
    """Two of them at once would be safe, but cost; the task waits for Lambda's own end, and not much longer."""
    timeout = FUNCTIONS[function]["Timeout"]

    assert timeout < states(machine)[task]["TimeoutSeconds"] <= timeout + 60, "seconds"


def test_an_incident_looks_for_seven_days_within_its_history() -> None:
    """Every quarter of an hour, all tries of each look failing; a look that fails found nothing, and is not the end."""
    incident = states("overdue")
    look, wait = incident["Look again"], incident["Wait a quarter of an hour"]
    [caught] = look["Catch"]
    arrived, given_up = (one["Condition"] for one in incident["Has it come?"]["Choices"])
    # Entered and left: the wait, the look, the choice. A try: scheduled, started, failed.
    events = 7 * 86_400 // wait["Seconds"] * (3 * 2 + 3 * (1 + look["Retry"][0]["MaxAttempts"]))

    assert 15 * 60 == wait["Seconds"], "between two looks"
    assert "$states.input.look.state = 'arrived'" in arrived
    assert f"'not_expected' or $toMillis($states.context.State.EnteredTime) >= {SINCE} + {7 * 86_400_000} " in given_up
    assert events < HISTORY - 1_000, "events of seven days"
    assert ALL == set(caught["ErrorEquals"])
    # What was told before is not told again.
    assert "$merge([$states.input, {'look': {'state': 'missing'}}])" in caught["Output"]
