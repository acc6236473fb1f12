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
from local.template import read_template
from shared.arrival import ObjectCreated, Skip
from shared.errors import ArrivalError
from shared.pattern import Pattern, Template
from shared.plan import Route, StoredObject, choose, execution_input, plan
from shared.routes import DatasetRoute, RouteTable

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
        print("\n".join(show_table(routes, stack_route()) if table else tell(key, read_size(), routes, stack_route())))
    except (RouteFileError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def stack_route() -> Route:
    """Return the route of the template's parameters, with the environment's values where there are some."""
    defaults = {field: read_template()["Parameters"][name]["Default"] for field, name in PARAMETERS.items()}
    given = {field: os.environ.get(field.upper(), default) for field, default in defaults.items()}
    return Route(
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


def tell(key: str, size: int | None, routes: tuple[DatasetRoute, ...], stack: Route) -> Iterator[str]:
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
        chosen = choose(created, asked)
    except ArrivalError as error:
        yield f"Fails     {error}"
        return
    if isinstance(chosen, Skip):
        yield f"Starts    nothing: {chosen.reason.value}, {chosen.why}"
        yield from (f"Near      {line}" for line in nearest(key, routes))
        return
    yield from tell_route(chosen, size)
    stored = StoredObject(
        "BUCKET", key, None, "(its ETag)", datetime(2026, 1, 1, tzinfo=UTC), 1 if size is None else size
    )
    decision = plan(stored, chosen)
    if isinstance(decision, Skip):
        yield f"Starts    nothing: {decision.reason.value}, {decision.why}"
        return
    if not key.startswith(stack.source_prefix):
        yield (
            f"Note      the stack's SourcePrefix must cover the key: the default, {shown(stack.source_prefix)}, does not. "
            "SOURCE_PREFIX=… says what yours is."
        )
    yield "Input"
    written = json.loads(execution_input(stored, chosen))
    written["object"] |= {"version_id": "(its version, or null)", "last_modified": "(its time)"}
    if size is None:
        written["glue_max_capacity_dpus"] = capacity(chosen)
        written["object"]["size"] = "(its size)"
    yield from json.dumps(written, indent=2, ensure_ascii=not key.isprintable()).splitlines()


def tell_route(chosen: Route, size: int | None) -> Iterator[str]:
    """Yield what the route is and says of this key."""
    taken = chosen.taken
    if taken is None:
        yield "Route     the one that the template's parameters make (there is no file in src/routes)"
    else:
        yield f"Route     {taken.route.name} (src/routes/{taken.route.name}.toml), priority {taken.route.priority}"
        yield f"Match     {template_text(taken.route.match)}"
        yield from (f"Captures  {name} = {shown(value)}" for name, value in taken.captures.items())
    yield f"Starts    {machine(taken.route if taken else None)}"
    yield f"Job       {chosen.job_name}"
    yield f"Target    {shown(chosen.target_prefix)}"
    if size is None:
        yield f"Capacity  {capacity(chosen)}"


def nearest(key: str, routes: tuple[DatasetRoute, ...]) -> list[str]:
    """Return the routes that share the longest beginning with the key, and what they match."""
    shared = {
        route.name: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(key, route.match.head, strict=False)))
        for route in routes
    }
    near = sorted((route for route in routes if shared[route.name]), key=lambda route: -shared[route.name])
    return [f"{route.name} takes {template_text(route.match)}" for route in near[:NEAREST]]


def capacity(chosen: Route) -> str:
    """Return the capacity in words, all steps of the ladder."""
    rungs = chosen.taken.route.capacity if chosen.taken else ()
    if not rungs:
        return f"{chosen.glue_max_capacity_dpus} DPUs, whatever the size"
    *bounded, last = rungs
    steps = [f"{rung.dpus} DPUs up to {rung.up_to:,} bytes" for rung in bounded]
    return "; ".join([*steps, f"{last.dpus} DPUs above" if steps else f"{last.dpus} DPUs, whatever the size"])


def machine(route: DatasetRoute | None) -> str:
    """Return what a route starts, in words."""
    return "the stack's state machine" if route is None or route.state_machine is None else route.state_machine


def show_table(routes: tuple[DatasetRoute, ...], stack: Route) -> Iterator[str]:
    """Yield all routes as a table, the highest priority first."""
    rows = [("ROUTE", "MATCH", "JOB", "TARGET", "WINDOW")]
    for route in sorted(routes, key=lambda one: (-one.priority, one.name)):
        window = f"{route.window_seconds} s" if route.window_seconds else "-"
        rows.append((route.name, template_text(route.match), route.job_name, template_text(route.target), window))
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
