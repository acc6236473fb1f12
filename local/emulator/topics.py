"""What may be published to a topic.

AWS: a subject has fewer than 100 characters, all of them ASCII; it begins with a letter, a digit or a punctuation mark
and has no line break or control character (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html).

ministack: takes any subject.
"""

import re
from collections.abc import Callable

from ministack.services import sns

from local.emulator import seams
from local.emulator.aws import Json, Response

SUBJECT = re.compile(r"[!-~][ -~]{0,98}")


@seams.replaces(sns, "_publish")
def publish(original: Callable[[Json], Response], parameters: Json) -> Response:
    """Answer Publish, also to a workflow's task."""
    if "Subject" in parameters and not SUBJECT.fullmatch(sns._p(parameters, "Subject")):
        refused: Response = sns._error("InvalidParameter", "Invalid parameter: Subject", 400)
        return refused
    return original(parameters)
