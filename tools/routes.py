"""Find the route of a key, and list all routes: `arrivals route KEY [--size]` and `arrivals routes`.

For a checkout they read src/routes/*.toml and the defaults of template.yaml, without any call. For a deployed stack
they read the code of its function.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from shared.domain import sets
from shared.domain.arrival import ObjectCreated, Skip, StoredObject
from shared.domain.choose import choose, screen_object
from shared.domain.errors import ArrivalError
from shared.domain.pattern import Pattern, Template, fill
from shared.domain.plan import execution_input
from shared.domain.routes import Choice, Route
from shared.domain.stack import Stack
from shared.domain.windows import File, Generation, write_manifest
from tools.answer import Answer, Listing, shown
from tools.cloud import NotKnownError

NEAREST = 3


@dataclass(frozen=True, slots=True)
class Last:
    """The last arrival that a route took."""

    when: str
    outcome: str
    key: str


def tell(key: str, size: int | None, stack: Stack, *, prefix_known: bool) -> Answer:
    """Return the route that takes the key and the input of its execution, or the reason why none takes it.

    If the prefix may not be the stack's, a key outside of it is looked up too, with a note.
    Raises NotKnownError if the key can't be one.
    """
    check_key(key)
    asked = stack if prefix_known else stack._replace(source_prefix="")
    created = ObjectCreated(stack.source_bucket_name, key, None, stack.account_id)
    head = f"Key       {shown(key)}"
    try:
        choice = choose(created, asked)
    except ArrivalError as error:
        return Answer([head, f"Fails     {error}"], {"key": key, "fails": str(error)}, to_do=True)
    if isinstance(choice, Skip):
        near = nearest(key, stack.table.routes)
        told = [head, f"Starts    nothing: {choice.reason.value}, {choice.why}", *(f"Near      {one}" for one in near)]
        return Answer(told, {"key": key, "skipped": choice.reason.value, "why": choice.why, "near": near}, to_do=True)
    told = [head, *tell_route(choice, asked, size)]
    data: dict[str, Any] = {
        "key": key,
        "route": choice.name,
        "job_name": choice.route.job_name,
        "target": choice.target,
    }
    created_at = datetime(2026, 1, 1, tzinfo=UTC)
    stored = StoredObject(created.bucket, key, None, "(its ETag)", created_at, 1 if size is None else size)
    if skip := screen_object(stored.size, choice):
        told.append(f"Starts    nothing: {skip.reason.value}, {skip.why}")
        return Answer(told, data | {"skipped": skip.reason.value, "why": skip.why}, to_do=True)
    if not key.startswith(stack.source_prefix):
        told.append(
            f"Note      the stack's SourcePrefix must cover the key: the default, {shown(stack.source_prefix)}, does not. "
            "Set SOURCE_PREFIX=… in the environment to yours."
        )
    if choice.route.set:
        lines, written = tell_set(choice, asked)
        told += [*lines, "Input", *json.dumps(written, indent=2, ensure_ascii=not key.isprintable()).splitlines()]
        return Answer(told, data | {"input": written})
    written = json.loads(execution_input(stored, choice, asked))
    written["object"] |= {"version_id": "(its version, or null)", "last_modified": "(its time)"}
    written["object"] |= {"content_type": "(its content type)", "metadata": {"(its own names)": "(and values)"}}
    if size is None:
        written["glue_max_capacity_dpus"] = capacity(choice, asked)
        written["object"]["size"] = "(its size)"
    told += ["Input", *json.dumps(written, indent=2, ensure_ascii=not key.isprintable()).splitlines()]
    return Answer(told, data | {"input": written})


def check_key(key: str) -> None:
    """Check that a key can be one.

    Raises NotKnownError.
    """
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise NotKnownError("The key is not UTF-8; every key is.") from error
    if not key:
        raise NotKnownError("Which key? For example input/lab2/eventdriven/green_tripdata.csv.")


def tell_set(choice: Choice, stack: Stack) -> tuple[list[str], dict[str, Any]]:
    """Return the members of a key's set, and the input of the execution on all of them."""
    instance = sets.instance_of(choice)
    if isinstance(instance, str):
        keys = [f"{instance}(file)"]
        told = f"Set       at least {choice.route.set and choice.route.set.at_least} under {shown(instance)}"
    else:
        keys = [fill(match.tokens, choice.captures) for match in choice.route.match]
        told = f"Set       one of each: {', '.join(map(shown, keys))}"
    files = [File(key, 1, "", 0) for key in keys]
    generation = Generation(sets.content_of(files, choice.route, instance, stack), 0)
    written = json.loads(sets.plan_set(generation, write_manifest(files), stack).input)
    written |= {"manifest": "(its manifest)", "files": "(how many)", "bytes": "(their size)"}
    written["glue_max_capacity_dpus"] = capacity(choice, stack)
    return [told], written


def tell_route(choice: Choice, stack: Stack, size: int | None) -> Iterator[str]:
    """Yield the route, and its values for this key."""
    route = choice.route
    if not choice.name:
        yield "Route     that of the template's parameters (there is no file in src/routes)"
    else:
        yield f"Route     {route.name} (src/routes/{route.name}.toml), priority {route.priority}"
        yield f"Match     {template_text(route.match[choice.number])}"
        yield from (f"Captures  {name} = {shown(value)}" for name, value in choice.captures.items())
    yield f"Starts    {route.state_machine_arn or "the stack's state machine"}"
    yield f"Job       {route.job_name}"
    yield f"Target    {shown(choice.target)}"
    if size is None:
        yield f"Capacity  {capacity(choice, stack)}"


def nearest(key: str, routes: list[Route]) -> list[str]:
    """Return the routes that share the longest beginning with the key, and their matches."""
    shared = [
        (sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(key, match.head, strict=False))), route, match)
        for route in routes
        for match in route.match
    ]
    near = sorted((one for one in shared if one[0]), key=lambda one: -one[0])
    return [f"{route.name} takes {template_text(match)}" for _, route, match in near[:NEAREST]]


def capacity(choice: Choice, stack: Stack) -> str:
    """Return the capacity in words, all steps of the ladder."""
    rungs = choice.route.capacity
    if not rungs:
        return f"{stack.glue_max_capacity_dpus} DPUs for any size"
    *bounded, last = rungs
    steps = [f"{rung.dpus} DPUs up to {rung.up_to:,} bytes" for rung in bounded]
    return "; ".join([*steps, f"{last.dpus} DPUs above" if steps else f"{last.dpus} DPUs for any size"])


def show_table(stack: Stack, last: dict[str, Last] | None = None) -> Answer:
    """Return all routes, the highest priority first, and the last arrival of each if these are known."""
    headings: tuple[str, ...] = ("ROUTE", "MATCH", "JOB", "TARGET", "WINDOW")
    rows: list[tuple[str, ...]] = []
    data: list[dict[str, Any]] = []
    for route in stack.table.routes or [parameters_route(stack)]:
        window = f"{route.window_seconds} s" if route.window_seconds else "-"
        if route.set:
            window = f"set of {route.set.at_least or len(route.match)}"
        window = "paused" if route.paused else window
        matches = [template_text(one) for one in route.match] or [f"{shown(stack.source_prefix)}…"]
        target = template_text(route.target)
        arrived = (last or {}).get(route.name)
        seen = (f"{arrived.when} {arrived.outcome}" if arrived else "none",) if last is not None else ()
        rows.append((route.name or "(parameters)", matches[0], route.job_name, target, window, *seen))
        rows += [("", match, "", "", "", *("" for _ in seen)) for match in matches[1:]]
        told = {"when": arrived.when, "outcome": arrived.outcome, "key": arrived.key} if arrived else None
        data.append(
            {"route": route.name or None, "match": matches, "job_name": route.job_name, "target": target}
            | {"window_seconds": route.window_seconds, "priority": route.priority, "paused": route.paused}
            | ({"set": route.set._asdict()} if route.set else {})
            | ({} if last is None else {"last": told})
        )
    told_rows: list[str | Listing] = [Listing((*headings, "LAST ARRIVAL") if last is not None else headings, rows)]
    if not stack.table:
        told_rows.append("There is no route file: the template's parameters make the only route. See docs/routes.md.")
    return Answer(told_rows, data)


def parameters_route(stack: Stack) -> Route:
    """Return the route that the template's parameters make."""
    return Route("", (), stack.job_name, (stack.target_prefix,), window_seconds=stack.window_seconds)


def template_text(template: Pattern | Template) -> str:
    """Return a template as in its file."""
    tokens = template.tokens if isinstance(template, Pattern) else template
    parts = [
        one.replace("{", "{{").replace("}", "}}") if isinstance(one, str) else f"{{{one.name}{'...' * one.deep}}}"
        for one in tokens
    ]
    return shown("".join(parts))
