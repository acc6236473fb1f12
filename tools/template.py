"""The template as data, for checks; it needs only PyYAML."""

import functools
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

try:
    # Ten times as fast, where it is there.
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
GONE = object()  # the value of AWS::NoValue
FUNCTIONS = {"Fn::If": "if_", "Fn::Not": "not_", "Fn::And": "and_", "Fn::Or": "or_"}


class _Arguments(SafeLoader):
    """Reads `!Name argument` as the argument."""


class _Functions(SafeLoader):
    """Reads `!Name argument` as the long form of its function."""


def _argument(loader: SafeLoader, _name: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]


def _function(loader: SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": _argument(loader, name, node)}


_Arguments.add_multi_constructor("!", _argument)
_Functions.add_multi_constructor("!", _function)


def read_template() -> dict[str, Any]:
    """Read the template as it is written, each function as its argument."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Arguments)  # noqa: S506 - a SafeLoader
    return template


def deployed(name: str = "glueworkshop", partition: str = "aws", **parameters: object) -> dict[str, Any]:
    """Return `Globals`, `Resources` and `Outputs` as a stack of that name and those parameters has them.

    The name of a resource replaces its `Ref`, and `Resource.Attribute` replaces `Fn::GetAtt`. Parts that a condition
    leaves out are absent.
    """
    template = _with_functions()
    defaults = {one: declared["Default"] for one, declared in template["Parameters"].items()}
    unknown = parameters.keys() - defaults.keys()
    if unknown:
        raise KeyError(f"no such parameters: {unknown}")
    pseudo = {
        "AWS::StackName": name,
        "AWS::StackId": f"arn:{partition}:cloudformation:us-east-2:123456789012:stack/{name}/{uuid.uuid5(uuid.NAMESPACE_DNS, name)}",
        "AWS::Partition": partition,
        "AWS::Region": {"aws": "us-east-2", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}[partition],
        "AWS::AccountId": "123456789012",
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        "AWS::NoValue": GONE,
    }
    resolver = _Resolver(template, {**defaults, **parameters, **pseudo})
    return {
        part: {
            key: resolver.value({member: inner for member, inner in one.items() if member != "Condition"})
            for key, one in template[part].items()
            if "Condition" not in one or resolver.holds(one["Condition"])
        }
        for part in ("Globals", "Resources", "Outputs")
    }


@functools.cache
def _with_functions() -> dict[str, Any]:
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Functions)  # noqa: S506 - a SafeLoader
    return template


class _Resolver:
    """Computes the functions that the template uses."""

    def __init__(self, template: Mapping[str, Any], known: Mapping[str, object]) -> None:
        self.template, self.known = template, known

    def holds(self, condition: str) -> bool:
        return bool(self.value(self.template["Conditions"][condition]))

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [one for one in map(self.value, node) if one is not GONE]
        if not isinstance(node, dict):
            return node
        [(name, argument), *more] = node.items() or [("", None)]
        if not more and (name in {"Ref", "Condition"} or name.startswith("Fn::")):
            return getattr(self, FUNCTIONS.get(name, name.removeprefix("Fn::").lower()))(argument)
        resolved = {key: self.value(one) for key, one in node.items()}
        return {key: one for key, one in resolved.items() if one is not GONE}

    def ref(self, name: str) -> Any:
        return self.known.get(name, name)

    def condition(self, name: str) -> bool:
        return self.holds(name)

    def getatt(self, name: str) -> str:
        return name

    def sub(self, argument: str | list[Any]) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument
        known = {**self.known, **self.value(given)}
        return re.sub(r"\$\{([^}!]+)\}", lambda found: str(known.get(found[1], found[1])), text)

    def join(self, argument: list[Any]) -> str:
        delimiter, parts = argument[0], self.value(argument[1])
        return str(delimiter).join(map(str, parts))

    def split(self, argument: list[Any]) -> list[str]:
        return str(self.value(argument[1])).split(argument[0])

    def select(self, argument: list[Any]) -> Any:
        return self.value(argument[1])[int(argument[0])]

    def equals(self, argument: list[Any]) -> bool:
        first, second = self.value(argument)
        return str(first) == str(second)

    def not_(self, argument: list[Any]) -> bool:
        return not self.value(argument[0])

    def and_(self, argument: list[Any]) -> bool:
        return all(self.value(argument))

    def or_(self, argument: list[Any]) -> bool:
        return any(self.value(argument))

    def if_(self, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return self.value(then if self.holds(condition) else otherwise)
