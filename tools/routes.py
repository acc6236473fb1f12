"""Which route takes a key, and what all routes are: `make route KEY=… [SIZE=bytes]` and `make routes`.

They read src/routes/*.toml (or another folder, ROUTES) and the defaults of template.yaml, and ask nobody. SOURCE_PREFIX, JOB_NAME and so on, in the
environment, stand for a stack's own parameters.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from artifact.pack import pack
from artifact.route_files import FOLDER, RouteFileError, read_routes
from shared.domain.arrival import ObjectCreated, Skip, StoredObject
from shared.domain.choose import Stack, choose, screen_object
from shared.domain.errors import ArrivalError
from shared.domain.pattern import Pattern, Template
from shared.domain.plan import execution_input
from shared.domain.routes import Choice, Route, RouteTable
from tools.template import read_template

NEAREST = 3
PARAMETERS = {
    "source_prefix": "SourcePrefix",
    "job_name": "JobName",
    "target_prefix": "TargetPrefix",
    "glue_max_capacity_dpus": "GlueMaxCapacityDpus",
}
PARTITION = "arn:aws:states:REGION:ACCOUNT:stateMachine:"


def main() -> int:
    """Print the answer; exit code 1 means that the files or the question can't be read."""
    table, key = sys.argv[1:2] == ["--table"], os.environ.get("KEY", "")
    try:
        routes = read_routes(Path(os.environ.get("ROUTES") or FOLDER))
        print(
            "\n".join(
                show_table(routes, template_stack()) if table else tell(key, read_size(), routes, template_stack())
            )
        )
    except (RouteFileError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def template_stack() -> Stack:
    """Return the template's parameters, with the environment's values where there are some."""
    defaults = {field: read_template()["Parameters"][name]["Default"] for field, name in PARAMETERS.items()}
    given = {field: os.environ.get(field.upper(), default) for field, default in defaults.items()}
    return Stack(
        account_id="ACCOUNT",
        source_bucket_name="BUCKET",
        source_prefix=given["source_prefix"],
        state_machine_arn=PARTITION + "the-stack's",
        job_name=given["job_name"],
        target_prefix=given["target_prefix"],
        glue_max_capacity_dpus=int(given["glue_max_capacity_dpus"]),
        window_seconds=0,
        window_machine_arn="",
        results_bucket_name="",
    )


def read_size() -> int | None:
    """Return the object's size in bytes, if one is given.

    Raises ValueError.
    """
    given = os.environ.get("SIZE", "")
    if given and not (given.isascii() and given.isdigit()):
        raise ValueError(f"SIZE={given}: write the object's size as a whole number of bytes.")
    return int(given) if given else None


def tell(key: str, size: int | None, routes: tuple[Route, ...], stack: Stack) -> Iterator[str]:
    """Yield which route takes the key and the input it would get, or why none does.

    Raises ValueError for a question that is none.
    """
    if not key:
        raise ValueError("Which key? make route KEY=raw/sales/file.csv SIZE=1000; odd keys: KEY='…' make route")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise ValueError("KEY is not UTF-8, which every key is.") from error
    # Where there are files, the prefix is hardly the default's: the key is looked up all the same, with a note.
    prefix_known = not routes or "SOURCE_PREFIX" in os.environ
    asked = replace(stack, table=RouteTable(pack(routes)), source_prefix=stack.source_prefix if prefix_known else "")
    created = ObjectCreated("BUCKET", key, None, "ACCOUNT")
    yield f"Key       {shown(key)}"
    try:
        choice = choose(created, asked)
    except ArrivalError as error:
        yield f"Fails     {error}"
        return
    if isinstance(choice, Skip):
        yield f"Starts    nothing: {choice.reason.value}, {choice.why}"
        yield from (f"Near      {line}" for line in nearest(key, routes))
        return
    yield from tell_route(choice, asked, size)
    stored = StoredObject(
        "BUCKET", key, None, "(its ETag)", datetime(2026, 1, 1, tzinfo=UTC), 1 if size is None else size
    )
    if skip := screen_object(stored.size, choice):
        yield f"Starts    nothing: {skip.reason.value}, {skip.why}"
        return
    if not key.startswith(stack.source_prefix):
        yield (
            f"Note      the stack's SourcePrefix must cover the key: the default, {shown(stack.source_prefix)}, does not. "
            "SOURCE_PREFIX=… says what yours is."
        )
    yield "Input"
    written = json.loads(execution_input(stored, choice, asked))
    written["object"] |= {"version_id": "(its version, or null)", "last_modified": "(its time)"}
    written["object"] |= {"content_type": "(its content type)", "metadata": {"(its own names)": "(and values)"}}
    if size is None:
        written["glue_max_capacity_dpus"] = capacity(choice, asked)
        written["object"]["size"] = "(its size)"
    yield from json.dumps(written, indent=2, ensure_ascii=not key.isprintable()).splitlines()


def tell_route(choice: Choice, stack: Stack, size: int | None) -> Iterator[str]:
    """Yield what the route is and says of this key."""
    route = choice.route
    if not choice.name:
        yield "Route     the one that the template's parameters make (there is no file in src/routes)"
    else:
        yield f"Route     {route.name} (src/routes/{route.name}.toml), priority {route.priority}"
        yield f"Match     {template_text(route.match[choice.number])}"
        yield from (f"Captures  {name} = {shown(value)}" for name, value in choice.captures.items())
    yield f"Starts    {route.state_machine_arn or "the stack's state machine"}"
    yield f"Job       {route.job_name}"
    yield f"Target    {shown(choice.target)}"
    if size is None:
        yield f"Capacity  {capacity(choice, stack)}"


def nearest(key: str, routes: tuple[Route, ...]) -> list[str]:
    """Return the routes that share the longest beginning with the key, and what they match."""
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
        return f"{stack.glue_max_capacity_dpus} DPUs, whatever the size"
    *bounded, last = rungs
    steps = [f"{rung.dpus} DPUs up to {rung.up_to:,} bytes" for rung in bounded]
    return "; ".join([*steps, f"{last.dpus} DPUs above" if steps else f"{last.dpus} DPUs, whatever the size"])


def show_table(routes: tuple[Route, ...], stack: Stack) -> Iterator[str]:
    """Yield all routes as a table, the highest priority first."""
    rows = [("ROUTE", "MATCH", "JOB", "TARGET", "WINDOW")]
    for route in sorted(routes, key=lambda one: (-one.priority, one.name)):
        window = f"{route.window_seconds} s" if route.window_seconds else "-"
        first, *others = map(template_text, route.match)
        rows.append(
            (route.name, first, route.job_name, template_text(route.target), "paused" if route.paused else window)
        )
        rows += [("", match, "", "", "") for match in others]
    if not routes:
        rows.append(("(parameters)", f"{stack.source_prefix}…", stack.job_name, stack.target_prefix, "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if not routes:
        yield "There is no file in src/routes: the template's parameters are the one route. See docs/routes.md."


def template_text(template: Pattern | Template) -> str:
    """Return a template as its file has it."""
    tokens = template.tokens if isinstance(template, Pattern) else template
    parts = [
        one.replace("{", "{{").replace("}", "}}") if isinstance(one, str) else f"{{{one.name}{'...' * one.deep}}}"
        for one in tokens
    ]
    return shown("".join(parts))


def shown(text: str) -> str:
    """Return text as it is, or as JSON where it has characters that a terminal would act on."""
    return text if text.isprintable() else json.dumps(text)


if __name__ == "__main__":
    sys.exit(main())
