"""The real gates of a start, of a live event and of a backfill: S3, Step Functions and the clock."""

import time
from functools import partial
from typing import TYPE_CHECKING

from shared.domain.memory import Memory
from shared.domain.start import Gates
from shared.gates.s3 import get_manifest, list_page, read_object
from shared.gates.settings import trace_header
from shared.gates.step_functions import read_start_date, start_execution

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient


def make_gates(s3: "S3Client", sfn: "SFNClient") -> Gates:
    """Put the gates together, once in an execution environment: the memory of windows lives as long."""
    return Gates(
        read_object=partial(read_object, s3),
        list_page=partial(list_page, s3),
        read_manifest=partial(get_manifest, s3),
        # The runtime sets the trace's header anew for each invocation.
        start_execution=lambda execution: start_execution(sfn, trace_header(), execution),
        read_start_date=partial(read_start_date, sfn),
        clock=time.time,
        memory=Memory(),
    )
