"""Distributed Map: batches, results in S3, tolerated failures, redrive.

AWS: a Map Run starts a child execution per item, or per batch with an `ItemBatcher`; with a `ResultWriter` it exports
what the children returned to S3 and returns only where. More failed items than tolerated fail the run with
`States.ExceedToleratedFailureThreshold`, and stop what still runs. A redrive runs the failed and stopped children again,
under their own names, and leaves the others alone. The state machine's role starts the children, and reads and writes
the bucket.

ministack: one child per item; batches, the writer, paths to numbers, redrive and the role are ignored; it starts 64
threads, and children share the context object of their parent.

Left out: Express children, result files beyond the first of a kind. Whether the result without a writer leaves out
failed children, as here, is not documented.
"""

import contextvars
import copy
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import new_uuid, now_iso
from ministack.services import s3, stepfunctions

from local.emulator import aws, executions, seams, settings, tasks
from local.emulator.aws import Json

MAX_INPUT = 262_144  # bytes
COUNTED = ("pending", "running", "succeeded", "failed", "timedOut", "aborted")
# A public member of the stored run would be shown by DescribeMapRun.
CHILDREN, STATE, LOCK = "_children", "_state", "_lock"


@dataclass(frozen=True, slots=True)
class View:
    """A Map state with what its paths and expressions see."""

    state: Json
    raw: object
    effective: object
    context: Json

    @property
    def is_jsonata(self) -> bool:
        """Whether values are JSONata expressions rather than JSONPaths."""
        language: str = stepfunctions._state_query_language(self.state, self.context)
        return language == "JSONata"

    def template(self, template: object, context: Json | None = None) -> Any:
        """Fill in a payload template."""
        if self.is_jsonata:
            return stepfunctions._apply_jsonata_template(template, self.raw, context or self.context)
        return stepfunctions._resolve_params_obj(template, self.effective, context or self.context)

    def number(self, fields: Json, name: str) -> float | None:
        """Return a number of the state's, or of a part of it: given as such, by path or by expression."""
        value: Any = fields.get(name)
        if f"{name}Path" in fields:
            value = stepfunctions._resolve_path_or_ctx(fields[f"{name}Path"], self.effective, self.context)
        elif isinstance(value, str):
            value = stepfunctions._jsonata_state_field(fields, name, "number", self.raw, self.context)
        return None if value is None else float(value)

    def arguments(self, part: Json) -> Json:
        """Return the arguments of a reader or writer."""
        filled: Json = self.template(part.get("Parameters") or part.get("Arguments") or {})
        return filled


@seams.replaces(stepfunctions, "_run_distributed_map")
def run_distributed_map(
    _original: object,
    state: Json,
    raw: object,
    effective: object,
    processor: Json,
    execution: Json,
    context: Json,
) -> tuple[object, str | None]:
    """Run the state, or what a redrive left of it, and return its output and the next state."""
    executions.remember_context(execution, context)
    view = View(state, raw, effective, context)
    actor = tasks.actor_of(execution)
    run = _run_to_redrive(execution, context) or _new_run(view, execution, actor)
    _run_children(run, processor, view, execution)
    result = _export(run, view, actor) if "ResultWriter" in state else _outputs(run)
    run["status"] = "FAILED" if _too_many_failed(run) else "SUCCEEDED"
    run["stopDate"] = now_iso()
    if run["status"] == "FAILED":
        cause = "The specified tolerated failure threshold was exceeded"
        raise stepfunctions._ExecutionError("States.ExceedToleratedFailureThreshold", cause)
    return _finish(view, result), stepfunctions._next_or_end(state)


def _finish(view: View, result: object) -> object:
    if view.is_jsonata:
        arguments = {"result": result, "default": result}
        output: object = stepfunctions._apply_jsonata_output(view.state, view.raw, view.context, **arguments)
        stepfunctions._apply_state_assign(view.state, view.raw, view.context, result=result)
        return output
    selected = stepfunctions._apply_result_selector(view.state, result)
    placed = stepfunctions._apply_result_path(view.state, view.raw, selected)
    passed: object = stepfunctions._apply_output_path(view.state, placed, view.context)
    return passed


# ── The run and its children ──


def _run_to_redrive(execution: Json, context: Json) -> Json | None:
    if not execution.get("redriveCount"):
        return None
    for run in stepfunctions._map_runs.values():
        mine = run["executionArn"] == execution["executionArn"] and run[STATE] == context["State"]["Name"]
        if mine and run["status"] in executions.REDRIVABLE:
            run.update(status="RUNNING", redriveCount=run["redriveCount"] + 1, redriveDate=now_iso())
            run.pop("stopDate", None)
            for child in run[CHILDREN]:
                if child["status"] != "SUCCEEDED":
                    _move(run, child, "PENDING")
            again: Json = run
            return again
    return None


def _new_run(view: View, execution: Json, actor: tasks.Actor | None) -> Json:
    machine_arn = execution["stateMachineArn"].split("/")[0]
    tasks.require(actor, "StepFunctions.AccessDeniedException", "states:StartExecution", machine_arn)
    items = _items(view, actor)
    label = view.state.get("Label") or new_uuid()
    arn = f"{machine_arn.replace(':stateMachine:', ':mapRun:')}/{label}:{new_uuid()}"
    children_of = f"{machine_arn}/{label}"
    children = [_new_child(arn, children_of, size, text) for size, text in _inputs(view, items)]
    run: Json = {
        "mapRunArn": arn,
        "executionArn": execution["executionArn"],
        "status": "RUNNING",
        "startDate": now_iso(),
        "maxConcurrency": int(view.number(view.state, "MaxConcurrency") or 0),
        "toleratedFailurePercentage": view.number(view.state, "ToleratedFailurePercentage") or 0.0,
        "toleratedFailureCount": int(view.number(view.state, "ToleratedFailureCount") or 0),
        "itemCounts": _counts(len(items)),
        "executionCounts": _counts(len(children)),
        "redriveCount": 0,
        "_stateMachineArn": children_of,
        CHILDREN: children,
        STATE: view.context["State"]["Name"],
        LOCK: threading.Lock(),
    }
    stepfunctions._map_runs[arn] = run
    return run


def _counts(pending: int) -> dict[str, int]:
    others = ("resultsWritten", "failuresNotRedrivable", "pendingRedrive")
    return dict.fromkeys(COUNTED + others, 0) | {"pending": pending, "total": pending}


def _new_child(map_run_arn: str, machine_arn: str, size: int, text: str) -> Json:
    name = new_uuid()
    return {
        "executionArn": f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}",
        "stateMachineArn": machine_arn,
        "mapRunArn": map_run_arn,
        "name": name,
        "status": "PENDING",
        "startDate": None,
        "stopDate": None,
        "input": text,
        "inputDetails": {"included": True},
        "output": None,
        "outputDetails": {"included": True},
        "events": [],
        "mockAttempts": {},
        "_items": size,
    }


def _move(run: Json, child: Json, status: str) -> None:
    """Change a child's status and count it, and its items, under the new one."""
    with run[LOCK]:
        for counts, weight in ((run["itemCounts"], child["_items"]), (run["executionCounts"], 1)):
            counts[child["status"].lower()] -= weight
            counts[status.lower()] += weight
        child["status"] = status


def _run_children(run: Json, processor: Json, view: View, execution: Json) -> None:
    limit = int(settings.number("MAP_MAX_CONCURRENCY"))
    at_once = min(run["maxConcurrency"] or limit, limit)
    waiting = [child for child in run[CHILDREN] if child["status"] == "PENDING"]

    def perform(child: Json) -> None:
        # Once the run has failed, or was stopped, what has not begun stays pending.
        if execution["status"] == "RUNNING" and not _too_many_failed(run):
            _run_child(run, child, processor, view)

    with ThreadPoolExecutor(at_once) as pool:
        # A context holds the account of the request and cannot be entered twice at once.
        list(pool.map(lambda child, context: context.run(perform, child), waiting, _copies()))


def _copies() -> Iterator[contextvars.Context]:
    mine = contextvars.copy_context()
    while True:
        yield mine.copy()


def _run_child(run: Json, child: Json, processor: Json, view: View) -> None:
    _move(run, child, "RUNNING")
    child.update(startDate=child["startDate"] or now_iso())
    stepfunctions._executions[child["executionArn"]] = child
    if run["redriveCount"]:
        child["redriveCount"] = child.get("redriveCount", 0) + 1
    value = json.loads(child["input"])
    context = {
        **view.context,
        "Execution": {
            "Id": child["executionArn"],
            "Input": value,
            "Name": child["name"],
            "StartTime": child["startDate"],
        },
        "variables": {},
    }
    try:
        output = stepfunctions._run_sub_machine(processor["States"], processor["StartAt"], value, child, context)
    except stepfunctions._ExecutionError as error:
        child.update(error=error.error, cause=error.cause, stopDate=now_iso())
        _move(run, child, "FAILED")
    else:
        child.update(output=aws.compact(output), stopDate=now_iso())
        _move(run, child, "SUCCEEDED")


def _too_many_failed(run: Json) -> bool:
    counts = run["itemCounts"]
    failed = counts["failed"] + counts["timedOut"]
    limits = []
    if run["toleratedFailureCount"]:
        limits.append(failed > run["toleratedFailureCount"])
    if run["toleratedFailurePercentage"]:
        limits.append(failed * 100 > run["toleratedFailurePercentage"] * counts["total"])
    return any(limits) if limits else failed > 0


def _outputs(run: Json) -> list[object]:
    return [json.loads(child["output"]) for child in run[CHILDREN] if child["status"] == "SUCCEEDED"]


# ── Items and batches ──


def _items(view: View, actor: tasks.Actor | None) -> list[Any]:
    reader = view.state.get("ItemReader")
    if reader:
        arguments = view.arguments(reader)
        _require_read(actor, reader.get("Resource", ""), arguments)
        filled = {**reader, "Parameters": arguments}
        items: Any = stepfunctions._read_map_items(filled, view.effective, view.context)
    elif view.is_jsonata and "Items" in view.state:
        items = stepfunctions._jsonata_state_field(view.state, "Items", "array", view.raw, view.context)
    else:
        items = stepfunctions._resolve_path_or_ctx(view.state.get("ItemsPath", "$"), view.effective, view.context)
    return items if isinstance(items, list) else [items]


def _require_read(actor: tasks.Actor | None, resource: str, arguments: Json) -> None:
    bucket = f"arn:aws:s3:::{arguments.get('Bucket')}"
    if resource.endswith(":listObjectsV2"):
        tasks.require(actor, "States.ItemReaderFailed", "s3:ListBucket", bucket)
    else:
        tasks.require(actor, "States.ItemReaderFailed", "s3:GetObject", f"{bucket}/{arguments.get('Key')}")


def _inputs(view: View, items: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield, for every child, the number of its items and its input as JSON."""
    selected = (_selected(view, index, item) for index, item in enumerate(items))
    batcher = view.state.get("ItemBatcher")
    if batcher is None:
        yield from ((1, aws.compact(value)) for value in selected)
        return
    batch_input = view.template(batcher["BatchInput"]) if "BatchInput" in batcher else None
    head = {} if batch_input is None else {"BatchInput": batch_input}
    envelope = len(aws.compact({**head, "Items": []}).encode())
    count = int(view.number(batcher, "MaxItemsPerBatch") or 0)
    size = int(view.number(batcher, "MaxInputBytesPerBatch") or MAX_INPUT)
    for texts in _batches(map(aws.compact, selected), count, size - envelope):
        prefix = aws.compact(head)[:-1] + ("," if head else "")
        yield len(texts), f'{prefix}"Items":[{",".join(texts)}]}}'


def _selected(view: View, index: int, item: object) -> object:
    selector = view.state.get("ItemSelector") or view.state.get("Parameters")
    if not selector:
        return item
    return view.template(selector, {**view.context, "Map": {"Item": {"Index": index, "Value": item}}})


def _batches(texts: Iterator[str], count: int, size: int) -> Iterator[list[str]]:
    """Group as many as are allowed, but at least one; `count` 0 is no limit, `size` is in bytes with the commas."""
    batch: list[str] = []
    used = 0
    for text in texts:
        needed = len(text.encode()) + 1
        if batch and (len(batch) == count or used + needed > size):
            yield batch
            batch, used = [], 0
        batch.append(text)
        used += needed
    if batch:
        yield batch


# ── Results ──


def _export(run: Json, view: View, actor: tasks.Actor | None) -> Json:
    """Write the results to S3 in the files that AWS writes, and return where the manifest is."""
    arguments = view.arguments(view.state["ResultWriter"])
    bucket, prefix = arguments["Bucket"], arguments.get("Prefix", "").rstrip("/")
    folder = "/".join(filter(None, (prefix, run["mapRunArn"].rsplit(":", 1)[-1])))
    tasks.require(actor, "States.ResultWriterFailed", "s3:PutObject", f"arn:aws:s3:::{bucket}/{folder}/manifest.json")
    files: dict[str, list[Json]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for kind, listed in files.items():
        exported = [_exported(child) for child in run[CHILDREN] if child["status"] == kind]
        if exported:
            key, content = f"{folder}/{kind}_0.json", aws.compact(exported).encode()
            _put(bucket, key, content)
            listed.append({"Key": key, "Size": len(content)})
    manifest = {"DestinationBucket": bucket, "MapRunArn": run["mapRunArn"], "ResultFiles": files}
    _put(bucket, f"{folder}/manifest.json", aws.compact(manifest).encode())
    for counts in (run["itemCounts"], run["executionCounts"]):
        counts["resultsWritten"] = counts["total"]
    details = {"Bucket": bucket, "Key": f"{folder}/manifest.json"}
    return {"MapRunArn": run["mapRunArn"], "ResultWriterDetails": details}


def _exported(child: Json) -> Json:
    members = {
        "ExecutionArn": child["executionArn"],
        "Error": child.get("error"),
        "Cause": child.get("cause"),
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "Output": child["output"],
        "OutputDetails": {"Included": True},
        "StartDate": child["startDate"],
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": child["stopDate"],
    }
    return {name: copy.copy(value) for name, value in members.items() if value is not None}


def _put(bucket: str, key: str, content: bytes) -> None:
    put: Callable[..., aws.Response] = s3._put_object
    status, _, answer = aws.as_service(put, bucket, key, content, {"content-type": "application/json"})
    if status != 200:  # noqa: PLR2004
        raise stepfunctions._ExecutionError("States.ResultWriterFailed", answer.decode())
