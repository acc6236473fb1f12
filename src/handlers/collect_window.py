"""A window is over: store the manifest of its files, and start one execution on it."""

from functools import partial
from typing import TYPE_CHECKING, Any

from shared.domain.gather import belongs, is_listed_deep, plan_window
from shared.domain.windows import collect, parse_generation
from shared.gates.aws import make_s3, make_sfn
from shared.gates.s3 import Listing, get_manifest, list_page, put_manifest
from shared.gates.settings import this_stack, trace_header
from shared.gates.step_functions import start_execution
from shared.gates.telemetry import make_logger, report_window

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = make_logger()
# Arrivals don't wait for it, and the window machine tries again for hours.
s3, sfn = make_s3(attempts=8), make_sfn(attempts=8)


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Collect one window; whatever is raised, the window machine tries again, and nothing is done twice."""
    generation, stack = parse_generation(event), this_stack()
    window, results = generation.window, stack.results_bucket_name
    # Both are beginnings of the keys that count, so the longer one lists less.
    prefix = max(window.folder, stack.source_prefix, key=len)
    listing = Listing(window.bucket, stack.account_id, prefix, is_listed_deep(window, stack))
    manifest = collect(
        generation,
        accepts=lambda file: belongs(file, window, stack),
        list_page=partial(list_page, s3, listing),
        get_manifest=partial(get_manifest, s3, results),
        put_if_absent=partial(put_manifest, s3, results),
    )
    execution = plan_window(generation, manifest, stack)
    if execution:
        start_execution(sfn, trace_header(), execution)  # whoever started it, it is the one on this manifest
    return report_window(logger, generation, results, manifest, execution)
