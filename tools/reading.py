"""Small readings of what others wrote: JSON that may be none, and paths that may lead nowhere."""

import json
from typing import Any


def dig(node: Any, *names: str) -> str | None:
    """Return the text at the end of a path, if it leads to one."""
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, str) else None


def read_json(text: str) -> dict[str, Any]:
    """Read a JSON object; anything else is an empty one."""
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
