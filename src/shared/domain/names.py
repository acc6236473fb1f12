"""Names of executions, and the digests and times in them."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

# The limit of Step Functions: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
NAME_LENGTH = 80
DIGEST_LENGTH = 32


def digest(identity: Sequence[object]) -> str:
    """Return 32 hex digits of the values that identify something."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:DIGEST_LENGTH]


def readable(text: str, longest: int, otherwise: str) -> str:
    """Return the part of a text that Step Functions allows in a name; `otherwise` if nothing is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:longest] or otherwise


def timestamp(seconds: float) -> str:
    """Return a moment, in seconds since 1970, in the format of inputs and manifests; S3's times have whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
