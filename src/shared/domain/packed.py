"""The packed routes: none here. artifact/build.py writes this module into the artifact, from src/routes/*.toml.

So code that runs from the sources, such as tests, knows no routes, even if src/routes/ has some.
"""

from typing import Any

ROUTES: tuple[Any, ...] = ()
