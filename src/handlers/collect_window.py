"""A window is over: store the manifest of its files, and start one execution on it."""

from functools import partial
from typing import TYPE_CHECKING, Any

from shared.aws import make_s3, make_sfn
from shared.plan import belongs, is_listed_deep, plan_window
from shared.s3 import Listing, list_page, read_manifest, store_manifest
from shared.settings import stack_route, trace_header
from shared.step_functions import start_execution
from shared.telemetry import make_logger, report_window
from shared.windows import collect, parse_generation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = make_logger()
# Arrivals don't wait for it, and the window machine tries again for hours.
s3, sfn = make_s3(attempts=8), make_sfn(attempts=8)


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Collect one window; whatever is raised, the window machine tries again, and nothing is done twice."""
    generation, route = parse_generation(event), stack_route()
    window, results = generation.window, route.results_bucket_name
    # Both are beginnings of the keys that count, so the longer one lists less.
    prefix = max(window.folder, route.source_prefix, key=len)
    listing = Listing(window.bucket, route.account_id, prefix, is_listed_deep(window, route))
    manifest = collect(
        generation,
        accepts=lambda file: belongs(file, window, route),
        list_page=partial(list_page, s3, listing),
        get_manifest=partial(read_manifest, s3, results),
        put_if_absent=partial(store_manifest, s3, results),
    )
    execution = plan_window(generation, manifest, route)
    outcome = start_execution(sfn, execution, trace_header()) if execution else None
    return report_window(logger, generation, results, manifest, outcome)
