"""A window is over, or a set has settled: store the manifest of its files, and start one execution on it."""

from functools import partial
from typing import TYPE_CHECKING, Any

from shared.domain import sets
from shared.domain.arrival import ObjectCreated
from shared.domain.gather import belongs, file_of, listing_of, plan_window
from shared.domain.windows import File, collect, parse_generation
from shared.gates.aws import make_s3, make_sfn
from shared.gates.s3 import get_manifest, list_page, put_manifest, read_object
from shared.gates.settings import this_stack, trace_header
from shared.gates.step_functions import start_execution
from shared.gates.telemetry import make_logger, report_collect

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from shared.domain.plan import Execution
    from shared.domain.stack import Stack
    from shared.domain.windows import Generation

    type Collected = tuple[Generation[Any], bytes | None, Execution | None]

logger = make_logger()
# Arrivals don't wait for it, and the window machine tries again for hours.
s3, sfn = make_s3(attempts=8), make_sfn(attempts=8)


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Collect one window or set; after any error the window machine tries again, and nothing is done twice."""
    stack = this_stack()
    generation, manifest, execution = (collect_set if sets.is_set(event) else collect_window)(event, stack)
    if execution:
        start_execution(sfn, trace_header(), execution)  # if the name is taken, this manifest's run has started already
    return report_collect(logger, generation, stack.results_bucket_name, manifest, execution)


def collect_window(event: object, stack: "Stack") -> "Collected":
    """Collect a window: the files that came to its folder in its slot."""
    generation = parse_generation(event)
    window, results = generation.group, stack.results_bucket_name
    manifest = collect(
        generation,
        accepts=lambda file: belongs(file, window, stack),
        list_page=partial(list_page, s3, listing_of(window, stack)),
        get_manifest=partial(get_manifest, s3, results),
        put_if_absent=partial(put_manifest, s3, results),
    )
    return generation, manifest, plan_window(generation, manifest, stack)


def collect_set(event: object, stack: "Stack") -> "Collected":
    """Collect a set, if it is unchanged since an arrival found it complete."""
    generation = sets.parse_generation(event)
    results = stack.results_bucket_name

    def head(key: str) -> File | None:
        stored = read_object(s3, ObjectCreated(stack.source_bucket_name, key, None, stack.account_id))
        return file_of(stored) if stored else None

    manifest = sets.collect(
        generation,
        stack,
        look_at=partial(sets.look, stack=stack, head=head, list_page=partial(list_page, s3)),
        get_manifest=partial(get_manifest, s3, results),
        put_if_absent=partial(put_manifest, s3, results),
    )
    return generation, manifest, sets.plan_set(generation, manifest, stack) if manifest else None
