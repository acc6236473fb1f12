"""The one place that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import fields

from pydantic import TypeAdapter, ValidationError

from shared.errors import SettingsError
from shared.plan import Route

VARIABLES = {field.name: field.name.upper() for field in fields(Route)}


def read_route(environ: Mapping[str, str] = os.environ) -> Route:  # noqa: TID251 - this is that place
    """Read the route of this stack from the variables that template.yaml sets.

    Raises SettingsError, naming every variable that is missing or wrong.
    """
    values = {field: environ[name] for field, name in VARIABLES.items() if name in environ}
    try:
        return TypeAdapter(Route).validate_python(values)
    except ValidationError as error:
        wrong = "; ".join(f"{VARIABLES[str(item['loc'][0])]}: {item['msg']}" for item in error.errors())
        raise SettingsError(f"The environment is incomplete. {wrong}. template.yaml sets these variables.") from error


def trace_header(environ: Mapping[str, str] = os.environ) -> str | None:  # noqa: TID251 - this is that place
    """Read the X-Ray header of the current invocation; the runtime sets it anew for each."""
    return environ.get("_X_AMZN_TRACE_ID") or None
