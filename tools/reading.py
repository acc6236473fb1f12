"""Read data of others: JSON that may be invalid, and paths that may not exist."""

import json
from typing import Any


def dig(node: Any, *names: str) -> str | None:
    """Return the text at the end of a path, if there is one."""
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, str) else None


def read_json(text: str) -> dict[str, Any]:
    """Read a JSON object; return an empty one for any other text."""
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
