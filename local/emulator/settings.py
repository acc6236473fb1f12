"""The environment of the emulator; ministack reads most of it on import."""

import os
import sys
from pathlib import Path

ACCOUNT = "123456789012"
REGION = "us-east-2"

REPOSITORY = Path(__file__).resolve().parents[2]

DEFAULTS = {
    "LOG_LEVEL": "INFO",
    # A tenth of the time; with none, a Retry would end before its cause can go away.
    "SFN_WAIT_SCALE": "0.1",
    "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.2",
    # `spark` runs the job's script; `simulated` takes so many seconds and looks at the source only.
    "GLUE_RUNS": "simulated",
    "GLUE_RUN_SECONDS": "0.3",
    # The seconds of a minute in a run's timeout.
    "GLUE_SECONDS_A_MINUTE": "60",
    # The most that runs at once on a small machine.
    "LAMBDA_MAX_WORKERS": "4",
    # On AWS it is minutes.
    "CLOUDTRAIL_DELAY_SECONDS": "0.5",
    # A second address, for containers on this machine.
    "ALSO_LISTEN_ON": "",
}

FIXED = {
    "BIND_HOST": "127.0.0.1",
    "MINISTACK_ACCOUNT_ID": ACCOUNT,
    "MINISTACK_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    # The key `test` is root. Policies decide for everyone else, above all for the function's role.
    "AUTH": "true",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "LAMBDA_EXECUTOR": "local",
    # No bound: an event that waits for one of LAMBDA_MAX_WORKERS counts as running, and a burst would become a storm of
    # throttles.
    "LAMBDA_ACCOUNT_CONCURRENCY": "0",
    "PERSIST_STATE": "0",
    "S3_PERSIST": "0",
}


def configure(port: int, scratch: Path) -> None:
    """Set ministack's variables and our defaults; variables that are already set keep their values."""
    # A profile or a session of the developer's must not reach the functions.
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "PYTHONPATH", "SERVICES"):
        os.environ.pop(name, None)
    os.environ.update(FIXED)
    os.environ.update({"GATEWAY_PORT": str(port), "TMPDIR": str(scratch)})
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def number(name: str) -> float:
    """Return one of the numbers above."""
    return float(os.environ[name])


def text(name: str) -> str:
    """Return one of the words above."""
    return os.environ[name]


def function_python() -> str:
    """Return the interpreter for functions: it has no packages, so one that the artifact lacks makes an error."""
    own = os.environ.get("LAMBDA_PYTHON")
    bare = REPOSITORY / ".venv" / "lambda" / "bin" / "python"
    return own or (str(bare) if bare.exists() else sys.executable)
