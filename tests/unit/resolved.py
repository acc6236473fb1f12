"""The stack that the template becomes, whole, as reviewed files: `make resolved` writes them, test_resolved.py compares.

`reviewed/defaults.yaml` is the stack without parameters, its state machines with their definitions. `reviewed/follows.yaml`
is what follows from each parameter: what another value of it, alone, changes in that stack, and nothing besides.
"""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.template import deployed, read_template

REPOSITORY = Path(__file__).resolve().parents[2]
REVIEWED = Path(__file__).parent / "reviewed"
GONE = "(gone)"
TEMPLATE = read_template()
PARAMETERS: dict[str, dict[str, Any]] = TEMPLATE["Parameters"]
GLOBALS = TEMPLATE["Globals"]["Function"]
FUNCTIONS = {
    name: one["Properties"] for name, one in TEMPLATE["Resources"].items() if one["Type"] == "AWS::Serverless::Function"
}
CONFIGURATIONS: dict[str, Any] = {
    name: one
    for name, one in tomllib.loads((REPOSITORY / "samconfig.toml").read_text()).items()
    if isinstance(one, dict)
}
# One other value of each parameter: no default, and no two alike, so that what it reaches is seen.
OTHER: dict[str, str | int | list[str]] = {
    "SourceBucketName": "attached-bucket",
    "SourceKmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/0123",
    # It ends inside a name, so that its folder is shorter.
    "SourcePrefix": "raw/sales/dt=",
    "JobName": "sales-to-parquet",
    "TargetPrefix": "curated/sales",
    "GlueMaxCapacityDpus": 7,
    "GlueMaxConcurrentRuns": 5,
    "WindowSeconds": 60,
    "StateMachineArn": "arn:aws:states:us-east-2:123456789012:stateMachine:Attached:live",
    "RouteStateMachineArns": [
        "arn:aws:states:us-east-2:123456789012:stateMachine:Sales",
        "arn:aws:states:us-east-2:123456789012:stateMachine:Trips",
    ],
    "RouteJobArns": ["arn:aws:glue:us-east-2:123456789012:job/sales", "arn:aws:glue:us-east-2:123456789012:job/trips"],
    "AlarmEmail": "on-call@example.com",
    "MaxConcurrency": 13,
    "Architecture": "arm64",
    "ArtifactBucketName": "artifacts-of-ours",
    "ArchiveRetentionDays": 11,
    "BackfillSchedule": "rate(12 hours)",
    "BackfillFrom": "2026-11-01T00:00:00Z",
    "BackfillLookback": "PT14H",
    "LogRetentionDays": 545,
    "NoArrivalHours": 36,
    "ExpectationSchedule": "rate(2 minutes)",
}


def stack(
    name: str = "glueworkshop", partition: str = "aws", parameters: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Return the resolved stack, with the definitions of its state machines and the dashboard as data."""
    resolved = deployed(name, partition, **(parameters or {}))
    for one in resolved["Resources"].values():
        properties = one.get("Properties", {})
        if one["Type"] == "AWS::Serverless::StateMachine":
            properties["Definition"] = _definition(properties["DefinitionUri"], properties["DefinitionSubstitutions"])
        if one["Type"] == "AWS::CloudWatch::Dashboard" and isinstance(properties["DashboardBody"], str):
            properties["DashboardBody"] = json.loads(properties["DashboardBody"])
    return resolved


def overrides(configuration: str) -> dict[str, str]:
    """Read the parameters that `sam deploy --config-env` sets."""
    given = CONFIGURATIONS[configuration]["deploy"]["parameters"].get("parameter_overrides", "")
    return dict(one.split("=", 1) for one in shlex.split(given))


def _definition(uri: str, substitutions: dict[str, str]) -> Any:
    text = (REPOSITORY / uri).read_text()
    return json.loads(re.sub(r"\$\{(\w+)\}", lambda found: str(substitutions.get(found[1], found[0])), text))


def defaults() -> dict[str, Any]:
    """Return the stack without parameters, and the parameters it could have."""
    return {"Parameters": PARAMETERS, **stack()}


def follows() -> dict[str, dict[str, Any]]:
    """Return, for each parameter, what its other value changes: the path, and what stands there now."""
    plain = dict(leaves(stack()))
    changed = {
        f"{name}={written_out(value)}": dict(leaves(stack(parameters={name: value}))) for name, value in OTHER.items()
    }
    changed["AWS::StackName=other"] = dict(leaves(stack("other")))
    for partition in ("aws-cn", "aws-us-gov"):
        changed[f"AWS::Partition={partition}"] = dict(leaves(stack(partition=partition)))
    return {name: _difference(plain, leaves) for name, leaves in changed.items()}


def written_out(value: str | int | list[str]) -> str:
    """Return a value as it is given to a deployment."""
    return ",".join(value) if isinstance(value, list) else str(value)


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what differs; of a resource that is gone, or is new, its name alone stands for all of it."""
    found: dict[str, Any] = {}
    for path in sorted(before.keys() | after.keys()):
        if before.get(path, GONE) == after.get(path, GONE):
            continue
        owner = ".".join(path.split(".")[:2]) + "."
        if path not in after and not any(one.startswith(owner) for one in after):
            found[owner.removesuffix(".")] = GONE
        else:
            found[path] = after.get(path, GONE)
    return found


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Walk to every value, with its path."""
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(node, list) and node:
        for number, value in enumerate(node):
            yield from leaves(value, f"{path}[{_label(value, number)}]")
    else:
        yield path, node


def _label(item: Any, number: int) -> str:
    """Return what an item of a list is known by, so that one more before it moves nothing."""
    known = (
        next((item[name] for name in ("Sid", "Id", "PolicyName") if name in item), None)
        if isinstance(item, dict)
        else None
    )
    return str(known or number)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, and repeats what is repeated."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def written(content: Any) -> str:
    """Return the text of a reviewed file."""
    dumped: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return f"# Written by `make resolved`: review each line that changes.\n{dumped}"


if __name__ == "__main__":
    (REVIEWED / "defaults.yaml").write_text(written(defaults()))
    (REVIEWED / "follows.yaml").write_text(written(follows()))
