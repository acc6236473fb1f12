"""The one place that reads the environment."""

import os
from collections.abc import Mapping
from functools import cache

from pydantic import TypeAdapter, ValidationError

from shared.domain import packed
from shared.domain.errors import SettingsError
from shared.domain.routes import RouteTable
from shared.domain.stack import Stack

VARIABLES = {field: field.upper() for field in Stack._fields if field not in Stack._field_defaults}


@cache
def this_stack() -> Stack:
    """Return the settings of this stack, read once in an execution environment.

    Handlers call this after they have begun, so a wrong environment is logged, counted and kept like any failure.
    Raises SettingsError.
    """
    return read_stack(os.environ)  # noqa: TID251 - only this module reads it


def read_stack(environ: Mapping[str, str]) -> Stack:
    """Read the settings from the variables that template.yaml sets, with the table of the route files.

    Raises SettingsError, naming every variable that is missing or wrong.
    """
    values = {field: environ[name] for field, name in VARIABLES.items() if name in environ}
    try:
        stack = TypeAdapter(Stack).validate_python(values)
    except ValidationError as error:
        wrong = "; ".join(f"{VARIABLES[str(item['loc'][0])]}: {item['msg']}" for item in error.errors())
        raise SettingsError(f"The environment is incomplete. {wrong}. template.yaml sets these variables.") from error
    return stack._replace(table=RouteTable(packed.ROUTES)) if packed.ROUTES else stack


def trace_header(environ: Mapping[str, str] = os.environ) -> str | None:  # noqa: TID251 - only this module reads it
    """Read the X-Ray header of the current invocation; the runtime sets it for each."""
    return environ.get("_X_AMZN_TRACE_ID") or None
