"""`arrivals why` on the deployed template: what became of an object, and what to do."""

import shutil
import subprocess

from local.emulator.process import REPOSITORY
from tests.integration.commands import environment, run
from tests.integration.stacks import Arrivals


def make_why(arrivals: Arrivals, key: str, stack: str) -> subprocess.CompletedProcess[str]:
    """Run `make why` as an operator does, with the key in the environment."""
    # What another make hands down would win over the environment.
    inherited = {name: value for name, value in environment(arrivals).items() if not name.startswith("MAKE")}
    command = [shutil.which("make") or "make", "-s", "why"]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**inherited, "KEY": key, "STACK": stack},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_became_of_each_is_told(arrivals: Arrivals, key: str) -> None:
    """From S3, the execution, and the log; however odd the key is."""
    odd = key.replace("green_tripdata.csv", 'it\'s a "quote" + $HOME (été) 🚕.csv')
    empty, deleted, silent, never = (f"{key}.{name}" for name in ("empty", "deleted", "silent", "never"))
    arrivals.put(odd)
    arrivals.put(deleted)
    arrivals.put(empty, b"")
    arrivals.decided({odd: ["started"], deleted: ["started"], empty: ["skipped"]}, quiet=0)
    arrivals.client("s3").delete_object(Bucket=arrivals.bucket, Key=deleted)
    with arrivals.unannounced():
        arrivals.put(silent)
    arrivals.until_ended(odd, "SUCCEEDED")
    [execution] = arrivals.executions(odd)

    for asked, wanted in {
        odd: [
            f"execution {execution['name']} is ",
            f"#/v2/executions/details/{execution['executionArn']}",
            f"started (native): {execution['name']}",
            "To do   Nothing: it was started once and it succeeded.",
        ],
        empty: [
            "starts nothing: empty_object",
            "skipped (native): empty_object",
            "To do   If it should have content, upload it again.",
        ],
        deleted: ["S3      deleted 20", "started (native)"],
        silent: [
            "Log     nothing about this key",
            "To do   Look again in some minutes: its event has not come yet.",
        ],
        never: ["S3      no such object", "Log     nothing about this key"],
    }.items():
        _, told, error = run(arrivals, "why", asked)
        assert [] == [words for words in wanted if words not in told], told + error
    made = make_why(arrivals, odd, arrivals.stack.name)
    assert (0, True) == (made.returncode, f"started (native): {execution['name']}" in made.stdout), made.stderr
