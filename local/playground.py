"""Keep the local cloud up, with the application deployed, until Ctrl-C."""

import argparse
import contextlib
import signal
import sys
from pathlib import Path

from local import stack
from local.emulator import process

PORT = 4566


def main() -> int:
    """Build, start, deploy, print commands to try, and wait."""
    parser = argparse.ArgumentParser(prog="local.playground", description=__doc__)
    parser.add_argument("--host", default="", help="another address to listen on, so that containers can call")
    arguments = parser.parse_args()
    print("Building and deploying to the local cloud …", flush=True)
    stack.build()
    try:
        settings = {"ALSO_LISTEN_ON": arguments.host, "GLUE_RUNS": "spark"}
        cloud = process.start(PORT, log=Path(".local") / "local.log", settings=settings)
    except process.StartError as error:
        print(f"Is port {PORT} in use, or {arguments.host or '127.0.0.1'} no address of this machine? {error}")
        return 1
    with cloud:
        # The bucket of the files in events/.
        bucket = f"glueworkshop-{process.ACCOUNT}-{process.REGION}"
        stack.make_bucket(cloud, bucket)
        routes = (stack.ARTIFACT / "shared" / "packed.py").read_text()
        stack.deploy(cloud, parameters={"SourceBucketName": bucket}, routes=routes)
        variables = " ".join(f"{name}={value}" for name, value in cloud.environment.items())
        print(f"""
The local cloud answers at {cloud.endpoint_url}; its log is .local/local.log. In another terminal:

  export {variables} SAM_CLI_TELEMETRY=0

Some commands to try:

  .venv/dev/bin/python -m local.upload {bucket}
  .venv/dev/bin/arrivals status
  .venv/dev/bin/arrivals why input/lab2/eventdriven/green_tripdata.csv
  .venv/sam/bin/sam remote invoke StartExecutionFunction --event-file events/object-created-put.json
  .venv/sam/bin/sam remote invoke BackfillStateMachine --event '{{}}'

The first uploads green_tripdata.csv (the AWS CLI does too: aws s3 cp … s3://{bucket}/input/lab2/eventdriven/).
Ctrl-C ends it all.
""")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
