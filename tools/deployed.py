"""Read a deployed stack: outputs, resources, and its function's settings, code and routes."""

import ast
import io
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

import shared.domain
from artifact.pack import pack
from artifact.route_files import read_routes
from shared.domain.routes import RouteTable
from shared.domain.stack import Stack
from shared.gates.settings import read_stack
from tools.cloud import Cloud, NotKnownError

# Seconds to wait for the function's code, some megabytes.
PATIENCE = 60
PACKED = "shared/domain/packed.py"
OTHER_VERSION = (
    "The stack was deployed from another version of this project than this command: {names} differ. So names, routes and "
    "skips may be wrong here. Use the version that was deployed."
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A stack: its outputs, the physical ids of its resources by logical id, the types of these, and its parameters.

    `options` are what `arrivals` is given to ask this stack.
    """

    name: str
    outputs: dict[str, str]
    resources: dict[str, str]
    types: dict[str, str]
    parameters: dict[str, str]
    options: str = ""

    def output(self, name: str) -> str:
        """Return an output.

        Raises NotKnownError if the stack is not this application's.
        """
        if name not in self.outputs:
            raise NotKnownError(f"Stack {self.name!a} has no output {name}: it is not this application's.")
        return self.outputs[name]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack with its function's settings and routes; `notes` say why answers from them may be wrong."""

    opened: Opened
    stack: Stack
    notes: tuple[str, ...] = ()


def open_stack(cloud: Cloud) -> Opened:
    """Read outputs, parameters and resources.

    Raises NotKnownError if there is no such stack.
    """
    formation = cloud.client("cloudformation")
    try:
        described = formation.describe_stacks(StackName=cloud.stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise NotKnownError(
            f"No stack {cloud.stack!a} in {cloud.session.region_name}: give --stack, --region or --profile."
        ) from error
    pages = formation.get_paginator("list_stack_resources").paginate(StackName=cloud.stack)
    resources = [one for page in pages for one in page["StackResourceSummaries"] if one.get("PhysicalResourceId")]
    opened = Opened(
        cloud.stack,
        {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])},
        {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources},
        {one["LogicalResourceId"]: one["ResourceType"] for one in resources},
        {one["ParameterKey"]: one.get("ParameterValue", "") for one in described.get("Parameters", [])},
        cloud.options,
    )
    opened.output("StartExecutionFunctionName")
    return opened


def read_deployed(cloud: Cloud, routes: Path | None = None) -> Deployed:
    """Read a stack and the code of its function; a folder of route files replaces the deployed ones.

    Raises NotKnownError, SettingsError and RouteFileError.
    """
    opened = open_stack(cloud)
    answer = cloud.client("lambda").get_function(FunctionName=opened.output("StartExecutionFunctionName"))
    settings = read_stack(answer["Configuration"]["Environment"]["Variables"])
    code = read_code(answer["Code"]["Location"])
    notes = tuple(OTHER_VERSION.format(names=", ".join(other)) for other in [differing(code)] if other)
    if routes:
        table = RouteTable(pack(read_routes(routes)))
    else:
        try:
            table = RouteTable(read_packed(code))
            # This version may be unable to read the routes that another version packed.
            _ = table.routes
        except (KeyError, SyntaxError, TypeError, ValueError) as error:
            raise NotKnownError(
                notes[0] if notes else f"The routes in the function's code can't be read: {error}."
            ) from error
    return Deployed(opened, settings._replace(table=table), notes)


def read_code(location: str) -> zipfile.ZipFile:
    """Fetch the function's code from the address that Lambda gives for ten minutes.

    Raises NotKnownError.
    """
    try:
        with urllib.request.urlopen(location, timeout=PATIENCE) as answer:  # noqa: S310 - Lambda's own address
            return zipfile.ZipFile(io.BytesIO(answer.read()))
    except (OSError, zipfile.BadZipFile) as error:
        raise NotKnownError(
            f"The function's code can't be fetched ({error}), so its routes are not known: try again, or give --routes FOLDER."
        ) from error


def differing(code: zipfile.ZipFile) -> list[str]:
    """Return the modules of the decision that differ from this command's own, without the routes."""
    mine = {f"shared/domain/{path.name}": path.read_bytes() for path in Path(shared.domain.__path__[0]).glob("*.py")}
    theirs = {
        name: code.read(name)
        for name in code.namelist()
        if name.startswith("shared/domain/") and name.endswith(".py") and name.count("/") == PACKED.count("/")
    }
    names = (mine.keys() | theirs.keys()) - {PACKED}
    return sorted(name for name in names if mine.get(name) != theirs.get(name))


def read_packed(code: zipfile.ZipFile) -> tuple[Any, ...]:
    """Return the routes that the build wrote into the code; none of the code is run.

    Raises KeyError, SyntaxError or ValueError.
    """
    for node in ast.parse(code.read(PACKED)).body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if (
            isinstance(target, ast.Name)
            and target.id == "ROUTES"
            and isinstance(node, ast.Assign | ast.AnnAssign)
            and node.value
        ):
            packed: tuple[Any, ...] = ast.literal_eval(node.value)
            return packed
    raise ValueError(f"{PACKED} has no ROUTES")
