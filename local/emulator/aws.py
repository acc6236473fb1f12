"""Code that the replacements share: the shapes of ministack's answers, and acting as a service, not as a caller."""

import contextvars
import json
import threading
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, set_request_account_id, set_request_region

type Json = dict[str, Any]
type Response = tuple[int, dict[str, str], bytes]
"""Status, headers and body: the result of every handler of ministack."""


def body(response: Response) -> Json:
    """Return the decoded body of a JSON answer."""
    decoded: Json = json.loads(response[2] or b"{}")
    return decoded


def compact(value: object) -> str:
    """Write JSON as the services do: without spaces, in UTF-8 rather than escaped."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def account_of(arn: str) -> str:
    """Return the account in an ARN."""
    return arn.split(":", 5)[4]


def arn(service: str, resource: str) -> str:
    """Return the ARN of a resource in the account and region of the request."""
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def as_service[**P, R](act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Act in the account and region of the request, but not as its caller.

    After a request, a service acts with its own permissions; ministack would check those of the request's sender.
    """
    account, region = get_account_id(), get_region()

    def clean() -> R:
        set_request_account_id(account)
        set_request_region(region)
        return act(*args, **kwargs)

    return contextvars.Context().run(clean)


def in_background[**P](act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Do the same in a thread of its own, without a wait."""
    # The context is taken here: a thread starts without one.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(lambda: as_service(act, *args, **kwargs),), daemon=True).start()
