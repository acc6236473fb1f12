"""The stack that the template becomes, as reviewed files: `make resolved` writes them, test_resolved.py compares.

`reviewed/defaults.yaml` is the stack without parameters. `reviewed/follows.yaml` is what follows from each parameter:
what another value of it, alone, changes in that stack, and nothing besides.
Nobody reviews a thing twice: what stands there already is told by its place. Left out is what is only copied:
descriptions, queries, and of a definition all but where a substitution lands.
"""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.template import deployed, read_template

REPOSITORY = Path(__file__).resolve().parents[2]
REVIEWED = Path(__file__).parent / "reviewed"
GONE = "(gone)"
COPIED = {"Description", "AlarmDescription", "QueryString"}
PARAMETERS: dict[str, dict[str, Any]] = read_template()["Parameters"]
RESOURCES: dict[str, dict[str, Any]] = deployed()["Resources"]
GLOBALS = deployed()["Globals"]["Function"]
FUNCTIONS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::Serverless::Function"}
CONFIGURATIONS: dict[str, Any] = tomllib.loads((REPOSITORY / "samconfig.toml").read_text())
CONFIGURATIONS.pop("version")
MACHINES = "arn:aws:states:us-east-2:123456789012:stateMachine"
# One other value of each parameter: no default, and no two alike, so that what it reaches is seen.
OTHER: dict[str, Any] = {
    "SourceBucketName": "attached-bucket",
    "SourceKmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/0123",
    # It ends inside a name, so that its folder is shorter.
    "SourcePrefix": "raw/sales/dt=",
    "JobName": "sales-to-parquet",
    "TargetPrefix": "curated/sales",
    "GlueMaxCapacityDpus": 7,
    "GlueMaxConcurrentRuns": 5,
    "WindowSeconds": 60,
    "StateMachineArn": f"{MACHINES}:Attached:live",
    "RouteStateMachineArns": [f"{MACHINES}:Sales", f"{MACHINES}:Trips"],
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


def takes(name: str, value: str) -> bool:
    """Judge a value by the parameter's own constraints, as CloudFormation does before it makes anything."""
    declared = PARAMETERS[name]
    least, most = declared.get("MinValue"), declared.get("MaxValue")
    return (
        re.fullmatch(declared.get("AllowedPattern", ".*"), value) is not None
        and value in map(str, declared.get("AllowedValues", [value]))
        and (least is None or least <= int(value) <= (most or int(value)))
    )


def overrides(configuration: str) -> dict[str, str]:
    """Read the parameters that `sam deploy --config-env` sets."""
    given = CONFIGURATIONS[configuration]["deploy"]["parameters"].get("parameter_overrides", "")
    return dict(one.split("=", 1) for one in shlex.split(given))


def written_out(value: Any) -> str:
    """Return a value as it is given to a deployment."""
    return ",".join(value) if isinstance(value, list) else str(value)


def reviewed(resolved: dict[str, Any]) -> dict[str, Any]:
    """Return what is reviewed: a resource's properties beside its type, a policy's statements by their Sid."""
    resources = {name: _resource(**one) for name, one in resolved["Resources"].items()}
    outputs = {name: one["Value"] for name, one in resolved["Outputs"].items()}
    shown: dict[str, Any] = _told_once({**resolved, "Resources": resources, "Outputs": outputs}, {})
    return shown


def _resource(Type: str, Properties: dict[str, Any], **attributes: str) -> dict[str, Any]:
    shown = {"Is": Type, **attributes, **Properties}
    if Type == "AWS::Serverless::StateMachine":
        shown["Substituted"] = _landed(shown.pop("DefinitionUri"), shown.pop("DefinitionSubstitutions"))
    if Type == "AWS::CloudWatch::Alarm":
        watches = _words([shown.pop(name) for name in ("Namespace", "MetricName", "Dimensions")])
        shown = {"Is": shown.pop("Is"), "Watches": watches, "Fires": _told_once(shown, {})}
    if Type == "AWS::CloudWatch::Dashboard":
        shown |= dict(map(_widget, json.loads(shown.pop("DashboardBody"))["widgets"]))
    if "Policies" in shown:
        found = [one for policy in shown["Policies"] for one in policy.get("PolicyDocument", policy)["Statement"]]
        shown["Policies"] = {one.pop("Sid", "Only"): one for one in found}
        assert len(found) == len(shown["Policies"]), "a statement is known by its Sid"
    return shown


def _landed(uri: str, substitutions: dict[str, str]) -> dict[str, str]:
    """Return the values of a definition that a substitution is in, by their paths."""
    found = leaves(json.loads((REPOSITORY / uri).read_text())["States"])
    given = {f"${{{name}}}": value for name, value in substitutions.items()}
    return {
        path: re.sub(r"\$\{\w+\}", lambda name: given.get(name[0], name[0]), value)
        for path, value in found
        if "${" in str(value)
    }


def _widget(widget: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the title of a widget, how it is drawn, and each metric: its name, whose, and what else is said of it."""
    drawn = {**widget, **widget["properties"]}
    rows = [[*row[1:2], *row[3:]] or row for row in drawn.pop("metrics", [])]
    del drawn["properties"]
    return drawn.pop("title"), [_words(drawn), *map(_words, rows)]


def _words(node: Any) -> str:
    """Return the values, as text."""
    return " ".join(str(value) for _, value in leaves(node))


def _told_once(node: Any, told: dict[str, str], path: str = "") -> Any:
    """Leave out what is only copied, and name the place where the same stands already, unless it is short."""
    if not isinstance(node, dict | list):
        return node
    place = path.removeprefix(".").removeprefix("Resources.")
    if len(list(leaves(node))) >= 3 and (first := told.setdefault(json.dumps(node), place)) != place:
        return f"as {first}"
    steps = dict(_children(node))
    shown = {step: _told_once(one, told, path + step) for step, one in steps.items() if step[1:] not in COPIED}
    return [*shown.values()] if isinstance(node, list) else {step[1:]: one for step, one in shown.items()}


@cache
def follows() -> dict[str, dict[str, Any]]:
    """Return, for each parameter, what its other value changes: the path, and what stands there now."""
    plain = reviewed(deployed())
    others = {f"{name}={written_out(value)}": deployed(**{name: value}) for name, value in OTHER.items()}
    return {change: _changes(plain, reviewed(other)) for change, other in others.items()}


def _changes(plain: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return what differs; where the same stands in several places, by that, and the places."""
    places: dict[str, list[str]] = {}
    changes = dict(_differences(plain, other))
    for path, now in changes.items():
        places.setdefault(str(now), []).append(path)
    several = {now: paths for now, paths in places.items() if len(paths) > 1}
    return {path: now for path, now in changes.items() if str(now) not in several} | several


def _differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Walk to what differs; what is new or gone is one, with all that is in it."""
    if before == after:
        return
    if type(before) is type(after) in {dict, list}:
        old, new = dict(_children(before)), dict(_children(after))
        for name in {**old, **new}:
            yield from _differences(old.get(name, GONE), new.get(name, GONE), path + name)
    else:
        yield path.removeprefix(".").removeprefix("Resources."), after


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Walk to every value, with its path."""
    if isinstance(node, dict | list) and node:
        for name, value in _children(node):
            yield from leaves(value, path + name if path else name.removeprefix("."))
    else:
        yield path, node


def _children(node: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is in it, each with its step of a path."""
    if isinstance(node, dict):
        yield from ((f".{name}", value) for name, value in node.items())
    else:
        yield from ((f"[{_label(value, number)}]", value) for number, value in enumerate(node))


def _label(item: Any, number: int) -> str:
    """Return what an item of a list is known by, so that one more before it moves nothing."""
    return next((item[name] for name in ("Sid", "Id") if isinstance(item, dict) and name in item), str(number))


class _Dumper(yaml.SafeDumper):
    """Writes a part on one line, or two, if it fits there: a change then shows as a line of its own."""

    def represent_data(self, data: Any) -> yaml.Node:
        node = super().represent_data(data)
        if isinstance(node, yaml.CollectionNode):
            node.flow_style = len(json.dumps(data)) < 240
        return node


def written(content: Any) -> str:
    """Return the text of a reviewed file; HERE is the stack's own region and account."""
    content = json.loads(json.dumps(content).replace(":us-east-2:123456789012:", ":HERE:"))
    dumped: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=119, allow_unicode=True)
    return f"# Written by `make resolved`: review each line that changes.\n{dumped}"


if __name__ == "__main__":
    (REVIEWED / "defaults.yaml").write_text(written(reviewed(deployed())))
    (REVIEWED / "follows.yaml").write_text(written(follows()))
