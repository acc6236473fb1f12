"""`arrivals`, the operator's command: each subcommand looks at a stack, and names the next step.

Exit codes: 0 nothing to do, 1 something to do, 2 no answer could be had, 130 left with Ctrl-C.
"""

import functools
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from tools import attach as attaching
from tools import backfill as backfilling
from tools import expected as expecting
from tools import failed as failing
from tools import redrive as redriving
from tools import routes as routing
from tools import status as screen
from tools.answer import Answer, harmless, put, quoted, written
from tools.checkout import read_checkout
from tools.cloud import STACK, UNANSWERED, Cloud, in_words
from tools.deployed import open_stack, read_deployed
from tools.last_arrivals import read_last
from tools.why import ask as why_ask
from tools.why import tell as why_tell

TO_DO, NOT_ASKED, LEFT = 1, 2, 130
SINCE = "The first moment: a time (UTC without a zone), or a duration before now, such as P7D or PT2H."


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        code = cli.main(args=arguments, prog_name="arrivals", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        put(f"{error.format_message()}\n")
        return NOT_ASKED
    except click.ClickException as error:
        error.show()
        return NOT_ASKED
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("Left.\n")
        return LEFT
    except UNANSWERED as error:
        sys.stderr.write(f"{harmless(in_words(error))}\n")
        return NOT_ASKED
    return code if isinstance(code, int) else 0


def answering(function: Callable[..., Answer]) -> Callable[..., int]:
    """Add `--json`, write the answer, and return the exit code."""

    @click.option("--json", "as_json", is_flag=True, help="JSON, for scripts.")
    @functools.wraps(function)
    def run(*args: Any, as_json: bool, **kwargs: Any) -> int:
        answer = function(*args, **kwargs)
        put(written(answer, as_json=as_json, width=terminal_width(), colour=sys.stdout.isatty()))
        return TO_DO if answer.to_do else 0

    return run


def terminal_width() -> int | None:
    """Return the number of columns of the terminal; None if there is no terminal."""
    return Console().width if sys.stdout.isatty() else None


STACK_OPTION = click.option(
    "--stack", default=STACK, envvar="ARRIVALS_STACK", show_default=True, help="The stack; otherwise ARRIVALS_STACK."
)
ROUTES_STACK_OPTION = click.option(
    "--stack",
    default="",
    envvar="ARRIVALS_STACK",
    help="A deployed stack, in place of the checkout; or ARRIVALS_STACK.",
)


def somewhere(*stack: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options for account, region and stack, and pass them as `cloud`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, profile: str, region: str, endpoint_url: str, stack: str = "", **kwargs: Any) -> Any:
            return function(*args, cloud=Cloud(profile, region, endpoint_url, stack), **kwargs)

        return functools.reduce(lambda decorated, option: option(decorated), reversed([*stack, *PLACE]), run)

    return decorate


PLACE = (
    click.option("--profile", help="The AWS profile; otherwise AWS_PROFILE."),
    click.option("--region", help="The region; otherwise AWS_REGION, or the profile's."),
    click.option("--endpoint-url", help="Another address than AWS's; otherwise AWS_ENDPOINT_URL."),
)
ROUTES_OPTION = click.option(
    "--routes",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of route files, in place of the deployed ones (or of the checkout's).",
)


class Moment(click.ParamType[datetime]):
    """A time, or a duration before now; the backfill reads them in the same way."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment."""
        if isinstance(value, datetime):
            return value
        try:
            if value.startswith("P") and not value.endswith(("P", "T")):
                return datetime.now(UTC) - TypeAdapter(timedelta).validate_python(value)
            moment = TypeAdapter(datetime).validate_python(value)
        except (ValidationError, OverflowError):
            self.fail(
                f"{value!a} is no time and no duration: write 2026-11-24, 2026-11-24T05:20Z, P7D or PT2H.", param, ctx
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def installed_version() -> str:
    """Return the installed version; a checkout has none."""
    try:
        return version("file-arrival-trigger")
    except PackageNotFoundError:
        return "of this checkout"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(installed_version(), prog_name="arrivals", message="%(prog)s %(version)s")
def cli() -> None:
    """Show the state of a stack and of its files, and repair failures.

    Exit codes: 0 nothing to do, 1 something to do, 2 no answer could be had.
    docs/command.md has the permissions of each command.
    """


@cli.command(epilog="Example: arrivals why input/lab2/eventdriven/green_tripdata.csv")
@click.argument("key")
@somewhere(STACK_OPTION)
@ROUTES_OPTION
@answering
def why(key: str, cloud: Cloud, routes: Path | None) -> Answer:
    """Tell the story of the object KEY, and the next step.

    It only reads: S3, the upload's execution, the log, and the failure queue. The messages of the queue are hidden for
    ten seconds. Put a key that begins with a dash after --.
    """
    routing.check_key(key)
    return why_tell.tell(why_ask.ask(cloud, key, routes), datetime.now(UTC))


@cli.command(epilog="Example: arrivals route raw/sales/dt=2026-11-24/a.csv --size 1000")
@click.argument("key")
@click.option("--size", type=click.IntRange(min=0), help="The object's size in bytes.")
@somewhere(ROUTES_STACK_OPTION)
@ROUTES_OPTION
@answering
def route(key: str, size: int | None, cloud: Cloud, routes: Path | None) -> Answer:
    """Show the route that takes KEY and the input of its execution, or the reason why no route takes it.

    Without --stack it makes no call, and reads src/routes/ and template.yaml of the checkout. Then the variables
    SOURCE_PREFIX, JOB_NAME, TARGET_PREFIX and GLUE_MAX_CAPACITY_DPUS replace the template's defaults.
    """
    if cloud.stack:
        deployed = read_deployed(cloud, routes)
        return noted(routing.tell(key, size, deployed.stack, prefix_known=True), deployed.notes)
    known, prefix_known = read_checkout(routes)
    return routing.tell(key, size, known, prefix_known=prefix_known)


@cli.command(epilog="Example: arrivals routes --stack glueworkshop")
@somewhere(ROUTES_STACK_OPTION)
@ROUTES_OPTION
@answering
def routes(cloud: Cloud, routes: Path | None) -> Answer:
    """List all routes with match, job and target.

    With --stack it also shows the last arrival of each within seven days, and its outcome.
    """
    if cloud.stack:
        deployed = read_deployed(cloud, routes)
        return noted(routing.show_table(deployed.stack, read_last(cloud, deployed)), deployed.notes)
    return routing.show_table(read_checkout(routes)[0])


def noted(answer: Answer, notes: tuple[str, ...]) -> Answer:
    """Put a note before the answer if it may be wrong."""
    return Answer([*(f"Note      {note}" for note in notes), *answer.told], answer.data, answer.to_do)


@cli.command(epilog="Example: arrivals backfill --since P7D, then the same with --start")
@click.option("--since", help=f"{SINCE} Included.")
@click.option("--until", help="The moment after the last one, in the same format.")
@click.option("--prefix", help="Only keys that begin with this.")
@click.option("--reprocess", metavar="LABEL", help="Start all of them again, exactly once per label.")
@click.option("--start", is_flag=True, help="Start them. Without this option it only reports them.")
@click.option("--follow", metavar="NAME", help="Follow a backfill that runs or has ended: its name, or last.")
@somewhere(STACK_OPTION)
@answering
def backfill(cloud: Cloud, follow: str | None, *, start: bool, **asked: str | None) -> Answer:
    """Find the uploads that never started anything; with --start, start them.

    It shows the progress, and at the end the report. After Ctrl-C the backfill goes on.
    """
    opened = open_stack(cloud)
    request = {name: value for name, value in asked.items() if value is not None}
    if follow is not None:
        if request or start:
            raise click.UsageError("--follow starts nothing: leave the other options out.")
        arn = backfilling.find(cloud, opened, follow)
    else:
        whole = request | {"dry_run": not start}
        backfilling.check(opened, whole, datetime.now(UTC))
        arn = backfilling.begin(cloud, opened, whole)
    name = arn.rsplit(":", 1)[-1]
    words = "".join(f" --{one}={quoted(value)}" for one, value in request.items())
    try:
        with backfilling.progress() as shown:
            ran = backfilling.watch(cloud, arn, shown)
    except KeyboardInterrupt:
        sys.stderr.write(f"It goes on. To follow it again: arrivals backfill{cloud.options} --follow {name}\n")
        raise
    return backfilling.tell(cloud, ran, f"arrivals backfill{cloud.options}{words}")


@cli.command(epilog="Example: arrivals failed --since P1D")
@click.option("--since", type=Moment(), default="P7D", show_default=True, help=f"{SINCE} For executions.")
@somewhere(STACK_OPTION)
@answering
def failed(cloud: Cloud, since: datetime) -> Answer:
    """List the failures: time, kind, key, reason and remedy.

    These are the messages of the failure queue, and the executions of workflow, windows and backfills that failed,
    timed out or were stopped. The messages stay in the queue, hidden for ten seconds.
    """
    found, unseen = failing.ask(cloud, since)
    return failing.tell(found, since, unseen)


@cli.command(epilog="Example: arrivals redrive green_tripdata-0123456789abcdef0123456789abcdef --yes")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--since", type=Moment(), default="P7D", show_default=True, help=f"{SINCE} Without names.")
@click.option("--yes", is_flag=True, help="Do it. Without this option it shows the plan, and asks at a terminal.")
@somewhere(STACK_OPTION)
@click.option("--json", "as_json", is_flag=True, help="JSON, for scripts.")
def redrive(cloud: Cloud, names: tuple[str, ...], since: datetime, *, yes: bool, as_json: bool) -> int:
    """Run failed executions again from the step that failed: the NAMEs, or all that `failed` lists.

    Fix the cause first, or they fail again. An execution can be redriven for 14 days.
    """
    ended = redriving.ask(cloud, names, since)
    planned = redriving.tell(ended)
    count = sum(not one.not_redrivable for one in ended)
    agreed = yes
    if not yes or not as_json:
        put(written(planned, as_json=as_json, width=terminal_width(), colour=sys.stdout.isatty()))
    if count and not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        agreed = click.confirm(f"Redrive {count}?")
    if count and not agreed:
        sys.stderr.write("Nothing was redriven. To redrive, add --yes\n")
    if not count or not agreed:
        return TO_DO if planned.to_do else 0
    done = redriving.redrive(cloud, ended)
    put(written(done, as_json=as_json, width=terminal_width(), colour=sys.stdout.isatty()))
    return TO_DO if done.to_do else 0


@cli.command(epilog="Example: arrivals status --stack glueworkshop")
@somewhere(STACK_OPTION)
@answering
def status(cloud: Cloud) -> Answer:
    """Show the state of the stack on one screen.

    It has the funnel of the last hour and day, open windows, the failure queue, active alarms, and the last backfill.
    """
    now = datetime.now(UTC)
    return screen.tell(screen.ask(cloud, now), now)


@cli.command(epilog="Example: arrivals expected --stack glueworkshop")
@somewhere(STACK_OPTION)
@ROUTES_OPTION
@answering
def expected(cloud: Cloud, routes: Path | None) -> Answer:
    """List the data that should have come by now: route, data's date, deadline, and the arrival or since when missing.

    It only reads: the deployed routes with [expect], S3, and the open incidents.
    """
    deployed = read_deployed(cloud, routes)
    return noted(expecting.tell(expecting.ask(cloud, deployed)), deployed.notes)


@cli.command(
    epilog="Example: arrivals attach my-bucket --machine arn:aws:states:us-east-2:123456789012:stateMachine:mine"
)
@click.argument("bucket")
@click.option("--machine", metavar="ARN", help="The state machine to start.")
@somewhere()
@answering
def attach(bucket: str, machine: str | None, cloud: Cloud) -> Answer:
    """Show the obstacles for a stack at an existing BUCKET, before you deploy.

    It checks region, owner, EventBridge, encryption key, versions and trails, and if the state machine is an Express
    one. It only reads.
    """
    return attaching.tell(attaching.ask(cloud, attaching.check_name(bucket), machine))
