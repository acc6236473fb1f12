"""The route files and the template's defaults of a checkout of this repository; no service is called."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from artifact.pack import pack
from artifact.route_files import FOLDER, read_routes
from shared.domain.routes import RouteTable
from shared.domain.stack import Stack
from tools.cloud import NotKnownError

PARAMETERS = {
    "source_prefix": "SourcePrefix",
    "job_name": "JobName",
    "target_prefix": "TargetPrefix",
    "glue_max_capacity_dpus": "GlueMaxCapacityDpus",
}
MACHINE = "arn:aws:states:REGION:ACCOUNT:stateMachine:the-stack's"


class _Plain(yaml.SafeLoader):
    """Reads past CloudFormation's functions."""


_Plain.add_multi_constructor("!", lambda _loader, _name, _node: None)


def find() -> Path:
    """Return the checkout of this command, or the one of the working directory.

    Raises NotKnownError if there is none.
    """
    for folder in (FOLDER.parents[1], Path.cwd()):
        if (folder / "template.yaml").is_file() and (folder / "src" / "routes").is_dir():
            return folder
    raise NotKnownError(
        "No route files here. Call it in a checkout of the repository, or give --stack NAME for the deployed ones."
    )


def read_checkout(routes: Path | None, environ: Mapping[str, str] = os.environ) -> tuple[Stack, bool]:
    """Return the template's parameters, the environment's in place of them where there are some, and the route files.

    Also whether the source prefix is a stack's own: where there are files, it is hardly the default's.

    Raises NotKnownError and RouteFileError.
    """
    checkout = find()
    table = RouteTable(pack(read_routes(routes or checkout / "src" / "routes")))
    given = {name: environ.get(name.upper(), default) for name, default in read_defaults(checkout).items()}
    stack = Stack(
        account_id="ACCOUNT",
        source_bucket_name="BUCKET",
        source_prefix=given["source_prefix"],
        state_machine_arn=MACHINE,
        job_name=given["job_name"],
        target_prefix=given["target_prefix"],
        glue_max_capacity_dpus=int(given["glue_max_capacity_dpus"]),
        window_seconds=0,
        window_machine_arn="",
        results_bucket_name="",
        overdue_machine_arn="",
        table=table,
    )
    return stack, not table or "SOURCE_PREFIX" in environ


def read_defaults(checkout: Path) -> dict[str, Any]:
    """Return the defaults of the parameters that a route depends on."""
    declared = yaml.load((checkout / "template.yaml").read_text(), _Plain)["Parameters"]  # noqa: S506 - a SafeLoader
    return {field: declared[name]["Default"] for field, name in PARAMETERS.items()}
