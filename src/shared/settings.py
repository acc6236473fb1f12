"""The one place that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from functools import cache

from pydantic import TypeAdapter, ValidationError

from shared import packed
from shared.errors import SettingsError
from shared.plan import Route
from shared.routes import RouteTable

VARIABLES = {field.name: field.name.upper() for field in fields(Route) if field.default is MISSING}


@cache
def stack_route() -> Route:
    """Return the route of this stack, read once an execution environment.

    Handlers ask for it after they have begun, so that a wrong environment is logged, counted and kept like any failure.
    Raises SettingsError.
    """
    return read_route(os.environ)  # noqa: TID251 - this is the place that reads it


def read_route(environ: Mapping[str, str]) -> Route:
    """Read a route from the variables that template.yaml sets, with the table of the route files.

    Raises SettingsError, naming every variable that is missing or wrong.
    """
    values = {field: environ[name] for field, name in VARIABLES.items() if name in environ}
    try:
        route = TypeAdapter(Route).validate_python(values)
    except ValidationError as error:
        wrong = "; ".join(f"{VARIABLES[str(item['loc'][0])]}: {item['msg']}" for item in error.errors())
        raise SettingsError(f"The environment is incomplete. {wrong}. template.yaml sets these variables.") from error
    return replace(route, table=RouteTable(packed.ROUTES)) if packed.ROUTES else route


def trace_header(environ: Mapping[str, str] = os.environ) -> str | None:  # noqa: TID251 - this is the place
    """Read the X-Ray header of the current invocation; the runtime sets it for each."""
    return environ.get("_X_AMZN_TRACE_ID") or None
