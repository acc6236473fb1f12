"""The server: `python -m local.emulator --port 4566` in the environment that holds ministack."""

import argparse
import asyncio
import importlib
import os
import pkgutil
import resource
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from local import emulator
from local.emulator import seams, settings

ENTRY_POINTS = {"__main__", "bootstrap", "process"}


def main() -> None:
    """Check, extend and run ministack until it is told to stop."""
    arguments = _arguments()
    if arguments.log:
        _log_to(arguments.log)
    with tempfile.TemporaryDirectory(prefix="local-cloud-", ignore_cleanup_errors=True) as scratch:
        settings.configure(arguments.port, Path(scratch))
        tempfile.tempdir = scratch
        _extend()
        asyncio.run(_serve(arguments.port, exit_with_parent=arguments.exit_with_parent))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="local.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--log", type=Path, help="write the log to this file")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when the parent process is gone")
    return parser.parse_args()


def _log_to(file: Path) -> None:
    with file.open("ab", buffering=0) as stream:
        for standard in (sys.stdout, sys.stderr):
            os.dup2(stream.fileno(), standard.fileno())


def _extend() -> None:
    """Import every module of the package, which notes its replacements, and put them in place."""
    for module in pkgutil.iter_modules(emulator.__path__):
        if module.name not in ENTRY_POINTS:
            importlib.import_module(f"{emulator.__name__}.{module.name}")
    seams.apply()


async def _serve(port: int, *, exit_with_parent: bool) -> None:
    from hypercorn.asyncio import serve  # noqa: PLC0415, RUF100 - ministack and its packages read the environment
    from hypercorn.config import Config  # noqa: PLC0415, RUF100
    from ministack.app import app  # noqa: PLC0415, RUF100
    from ministack.core import lambda_runtime  # noqa: PLC0415, RUF100

    from local.emulator import cloudtrail  # noqa: PLC0415, RUF100

    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS names no limit and refuses more than OPEN_MAX.
    files = most_files if sys.platform == "linux" else min(most_files, 10_240)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most_files))
    config = Config()
    also = os.environ["ALSO_LISTEN_ON"]
    hosts = {also} if also == "0.0.0.0" else {"127.0.0.1", also}  # noqa: S104 - the user's choice
    config.bind = [f"{host}:{port}" for host in hosts if host]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.2
    config.loglevel = os.environ["LOG_LEVEL"]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        _watch_parent(lambda: loop.call_soon_threadsafe(stop.set))
    await serve(cloudtrail.recording(app), config, shutdown_trigger=stop.wait)
    lambda_runtime.reset()
    shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)
    # Executions and retries sleep in threads that nobody waits for any more, but the interpreter would.
    os._exit(0)


def _watch_parent(stop: Callable[[], object]) -> None:
    """Poll for it: the kernel's own signal comes when the *thread* that started us ends, which may be long before."""
    parent = os.getppid()
    gone = threading.Event()

    def watch() -> None:
        while os.getppid() == parent:
            gone.wait(0.5)
        stop()

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


if __name__ == "__main__":
    main()
