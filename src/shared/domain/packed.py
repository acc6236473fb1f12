"""The routes, packed: none here. artifact/build.py writes this module into the artifact, from src/routes/*.toml.

What runs from the sources (tests, mostly) therefore knows no routes, whatever is in src/routes/.
"""

from typing import Any

ROUTES: tuple[Any, ...] = ()
