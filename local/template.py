"""The template as data, for those who hold it against something; PyYAML is all it needs."""

from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"


class _Loader(yaml.SafeLoader):
    """Reads intrinsic functions as plain values."""


def _intrinsic(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]


_Loader.add_multi_constructor("!", _intrinsic)


def read_template() -> dict[str, Any]:
    """Read it, each intrinsic function as its argument."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)  # noqa: S506 - a SafeLoader
    return template


def dashboard_body(template: dict[str, Any]) -> str:
    """Give the dashboard's body with the alarms that only some stacks have, its other references left as they are."""
    body: str
    body, values = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    for name, value in values.items():
        if isinstance(value[1], str) and value[1].startswith(","):
            body = body.replace(f"${{{name}}}", value[1])
    return body
