"""`arrivals` as an operator runs it: in this process, which has imported what it needs, or as a program of its own."""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any
from unittest.mock import patch

from local.emulator.process import REPOSITORY
from tests.integration.stacks import Arrivals
from tools import cloud
from tools.command import main

PROGRAM = [sys.executable, "-m", "tools"]


def environment(stack: Arrivals, **more: str) -> dict[str, str]:
    own = stack.stack.cloud.environment
    others = ("ARRIVALS_", "AWS_") if own else ("ARRIVALS_",)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    python = {"PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}", "LC_ALL": "C.UTF-8"}
    return {**inherited, **python, **own, "ARRIVALS_STACK": stack.stack.name, **more}


def forget_clients() -> None:
    cloud._session.cache_clear()
    cloud._client.cache_clear()


def run(stack: Arrivals, *words: str, **more: str) -> tuple[int, str, str]:
    told, error = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        patch.dict(os.environ, environment(stack, **more), clear=True),
        redirect_stdout(told),
        redirect_stderr(error),
    ):
        if more:
            forget_clients()
        code = main(list(words))
        if more:
            forget_clients()
    for stream in (told, error):
        stream.seek(0)
    return code, told.read(), error.read()


def data(stack: Arrivals, *words: str) -> Any:
    code, told, error = run(stack, *words, "--json")
    assert code in {0, 1}, error
    return json.loads(told)
