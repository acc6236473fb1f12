"""Distributed Map: batches, results in S3, and the role.

AWS: with an `ItemBatcher` a child execution gets a batch of items. With a `ResultWriter` the outputs of the children go
to S3, and the state returns only their place. The state machine's role starts the children, and reads and writes the
bucket. `WriterConfig` sets the format: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html

ministack: one child per item; batcher, writer and role are ignored. So it gets batches in place of items, and the
manifest replaces its result. Its limits stay: it counts tolerated failures in children, and has no redrive and no
JSONata in this state. Result files beyond the first of a kind are left out, and all formats
but COMPACT in lines of JSON.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import s3, stepfunctions

from local.emulator import aws, seams, tasks
from local.emulator.aws import Json

MAX_INPUT = 262_144  # bytes
FIELDS = {
    "ItemBatcher": {"MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput"},
    "ResultWriter": {"Resource", "Parameters", "WriterConfig"},
}
# The steps before and after the children are done here.
OURS = {"ItemReader", "ItemSelector", "ItemBatcher", "ResultWriter", "ResultSelector", "ResultPath", "OutputPath"}


@seams.replaces(stepfunctions, "_run_distributed_map")
def run_distributed_map(
    original: Callable[..., tuple[Any, str | None]],
    state: Json,
    raw: object,
    effective: object,
    processor: Json,
    execution: Json,
    context: Json,
) -> tuple[object, str | None]:
    """Run the state on batches, and return where its results are and the next state."""
    for name, known in FIELDS.items():
        if unknown := set(state.get(name, ())) - known:
            raise stepfunctions._ExecutionError("States.Runtime", f"{name} has unknown fields: {sorted(unknown)}")
    denied = "StepFunctions.AccessDeniedException"
    tasks.require(execution, denied, "states:StartExecution", execution["stateMachineArn"])
    batches = list(_inputs(state, effective, execution, context))
    execution["_items"] = sum(map(_size, batches))
    bare = {name: value for name, value in state.items() if name not in OURS} | {"ItemsPath": "$"}
    result, following = original(bare, batches, batches, processor, execution, context)
    if "ResultWriter" in state:
        # The last run of this execution; a state machine runs one state at a time.
        runs = [one for one in stepfunctions._map_runs.values() if one["executionArn"] == execution["executionArn"]]
        result = _export(runs[-1]["mapRunArn"], state["ResultWriter"], effective, execution, context)
    selected = stepfunctions._apply_result_selector(state, result)
    placed = stepfunctions._apply_result_path(state, raw, selected)
    return stepfunctions._apply_output_path(state, placed, context), following


@seams.replaces(stepfunctions, "_map_run_view")
def map_run_view(original: Callable[[Json], Json], run: Json) -> Json:
    """Describe a Map Run by the items in its batches; ministack's own items are the batches."""
    viewed = original(run)
    counts = dict.fromkeys(viewed["itemCounts"], 0)
    for child in [one for one in stepfunctions._executions.values() if one.get("mapRunArn") == run["mapRunArn"]]:
        counts[child["status"].lower()] += _size(json.loads(child["input"]))
    total = stepfunctions._executions[run["executionArn"]].get("_items", 0)
    return {**viewed, "itemCounts": counts | {"total": total, "pending": total - sum(counts.values())}}


def _size(batch: Any) -> int:
    return len(batch["Items"]) if isinstance(batch, dict) and "Items" in batch else 1


def _inputs(state: Json, effective: object, execution: Json, context: Json) -> Iterator[object]:
    """Yield the input of every child."""
    selector, batcher = state.get("ItemSelector"), state.get("ItemBatcher")
    selected = (
        stepfunctions._resolve_params_obj(
            selector, effective, {**context, "Map": {"Item": {"Index": index, "Value": item}}}
        )
        if selector
        else item
        for index, item in enumerate(_items(state, effective, execution, context))
    )
    if batcher is None:
        yield from selected
        return
    head = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
    head = stepfunctions._resolve_params_obj(head, effective, context)
    most, size = batcher.get("MaxItemsPerBatch"), batcher.get("MaxInputBytesPerBatch", MAX_INPUT)
    empty = len(aws.compact({**head, "Items": []}).encode())
    batch, used = list[object](), empty
    for item in selected:
        needed = len(aws.compact(item).encode()) + 1
        if batch and (len(batch) == most or used + needed > size):
            yield {**head, "Items": batch}
            batch, used = [], empty
        batch.append(item)
        used += needed
    if batch:
        yield {**head, "Items": batch}


def _items(state: Json, effective: object, execution: Json, context: Json) -> list[Any]:
    reader = state.get("ItemReader")
    if reader is None:
        items = stepfunctions._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, context)
    else:
        parameters = stepfunctions._resolve_params_obj(reader["Parameters"], effective, context)
        bucket = f"arn:aws:s3:::{parameters['Bucket']}"
        listing = reader["Resource"].endswith(":listObjectsV2")
        action, resource = ("s3:ListBucket", bucket) if listing else ("s3:GetObject", f"{bucket}/{parameters['Key']}")
        tasks.require(execution, "States.ItemReaderFailed", action, resource)
        items = stepfunctions._read_map_items(reader, effective, context)
    return items if isinstance(items, list) else [items]


def _export(run: str, writer: Json, effective: object, execution: Json, context: Json) -> Json:
    """Write the results to S3 in the files that AWS writes, and return where the manifest is."""
    parameters = stepfunctions._resolve_params_obj(writer["Parameters"], effective, context)
    bucket, prefix = parameters["Bucket"], parameters.get("Prefix", "").rstrip("/")
    folder = "/".join(filter(None, (prefix, run.rsplit(":", 1)[-1])))
    manifest = f"{folder}/manifest.json"
    tasks.require(execution, "States.ResultWriterFailed", "s3:PutObject", f"arn:aws:s3:::{bucket}/{manifest}")
    if writer.get("WriterConfig") != {"OutputType": "JSONL", "Transformation": "COMPACT"}:
        raise stepfunctions._ExecutionError("States.Runtime", "only JSONL, COMPACT is emulated for a WriterConfig")
    children = [one for one in stepfunctions._executions.values() if one.get("mapRunArn") == run]
    files: dict[str, list[Json]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for status, listed in files.items():
        if some := [child for child in children if child["status"] == status]:
            key = f"{folder}/{status}_0.jsonl"
            # Those that failed are never transformed.
            results = [json.loads(one["output"]) if status == "SUCCEEDED" else _exported(one) for one in some]
            content = "\n".join(map(aws.compact, results)).encode()
            _put(bucket, key, content)
            listed.append({"Key": key, "Size": len(content)})
    _put(bucket, manifest, aws.compact({"DestinationBucket": bucket, "MapRunArn": run, "ResultFiles": files}).encode())
    return {"MapRunArn": run, "ResultWriterDetails": {"Bucket": bucket, "Key": manifest}}


def _exported(child: Json) -> Json:
    names = ("executionArn", "error", "cause", "input", "name", "output", "startDate", "stateMachineArn", "status")
    exported = {name[0].upper() + name[1:]: child.get(name) for name in (*names, "stopDate")}
    details = {"InputDetails": {"Included": True}, "OutputDetails": {"Included": True}}
    return {name: value for name, value in (exported | details).items() if value is not None}


def _put(bucket: str, key: str, content: bytes) -> None:
    put: Callable[..., aws.Response] = s3._put_object
    status, _, answer = aws.as_service(put, bucket, key, content, {"content-type": "application/json"})
    if status != 200:  # noqa: PLR2004
        raise stepfunctions._ExecutionError("States.ResultWriterFailed", answer.decode())
