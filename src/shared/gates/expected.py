"""Find the arrived data of a deadline in S3's listing. Not in gates/s3.py, because it imports cron and zones."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from shared.domain.expectations import Due, arrived_at, prefixes
from shared.domain.routes import Route
from shared.domain.stack import Stack
from shared.domain.windows import File, Listing, list_files
from shared.gates.s3 import list_page

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def when_arrived(s3: "S3Client", stack: Stack, route: Route, due: Due, *, enough: bool = False) -> datetime | None:
    """Return the upload time of the last required object; None if there are too few objects.

    With `enough`, the listing stops as soon as there are enough objects.
    Raises PermanentCallError or RetryableCallError.
    """
    return arrived_at(_listed(s3, stack, prefixes(route, due, stack)), due, stack, enough=enough)


def _listed(s3: "S3Client", stack: Stack, prefixes: list[str]) -> Iterator[File]:
    for prefix in prefixes:
        listing = Listing(stack.source_bucket_name, stack.account_id, prefix, deep=True)
        yield from list_files(partial(list_page, s3, listing))
