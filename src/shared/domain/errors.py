"""Every error that a handler raises on purpose, and whether a retry can help.

    ArrivalError
    ├── MalformedEventError       no: the event, or the input of a backfill, is not understood
    ├── ForeignObjectError        no: the object is in another bucket or account
    ├── UnsafeTargetError         no: a job would resolve the target to somewhere else
    ├── UnsafeArgumentError       no: a job would take a value for an option
    ├── SettingsError             no: the function's environment is incomplete
    ├── SetTooLargeError          no: a look at the set takes more requests than an arrival may make
    ├── ManifestMissingError      yes: a manifest was put and is not there
    └── CallError                 a call to S3 or Step Functions failed
        ├── PermanentCallError    no: the service refuses the call itself
        └── RetryableCallError    yes: throttled, denied (until a policy is fixed), timed out, a fault of the service
            └── ObjectDeniedError yes, for an event; a backfill goes on without the object

An arrival that should start nothing is no error but a `Skip`. After one of these errors Lambda tries the event twice
more; then the event waits in the failure queue. So a message names the failure, the object, and the remedy.
"""

from enum import StrEnum


class Cause(StrEnum):
    """The causes of a failed arrival: the values of the metric dimension `reason` on failures."""

    MALFORMED_EVENT = "malformed_event"
    FOREIGN_OBJECT = "foreign_object"
    UNSAFE_ARGUMENT = "unsafe_argument"
    UNSAFE_TARGET = "unsafe_target"
    SETTINGS = "settings"
    SET_TOO_LARGE = "set_too_large"
    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    SERVICE_ERROR = "service_error"
    REFUSED = "refused"
    UNEXPECTED = "unexpected"


class ArrivalError(Exception):
    """The base of all foreseen errors."""

    cause: Cause = Cause.UNEXPECTED
    # The name of the route file that took the key, if it is known.
    route: str | None = None


class MalformedEventError(ArrivalError):
    """The payload lacks a field that the decision needs, or is no EventBridge event at all."""

    cause = Cause.MALFORMED_EVENT


class ForeignObjectError(ArrivalError):
    """The object is in a bucket or an account that this stack doesn't serve."""

    cause = Cause.FOREIGN_OBJECT


class UnsafeTargetError(ArrivalError):
    """A capture makes an empty, `.` or `..` segment of the target: a job could write anywhere."""

    cause = Cause.UNSAFE_TARGET


class UnsafeArgumentError(ArrivalError):
    """A key makes an argument of the job begin with a dash: the job would take it for an option."""

    cause = Cause.UNSAFE_ARGUMENT


class SettingsError(ArrivalError):
    """An environment variable that template.yaml sets is missing or wrong."""

    cause = Cause.SETTINGS


class SetTooLargeError(ArrivalError):
    """A set's folder has so many names that a look at it takes too many requests."""

    cause = Cause.SET_TOO_LARGE


class ManifestMissingError(ArrivalError):
    """A manifest was stored and is not there: somebody deletes manifests, which must stay for ever."""

    cause = Cause.SERVICE_ERROR


class CallError(ArrivalError):
    """A call to S3 or Step Functions failed; the SDK's own retries are used up."""

    def __init__(self, message: str, cause: Cause) -> None:
        super().__init__(message)
        self.cause = cause


class PermanentCallError(CallError):
    """The service refuses the call itself: the same call will fail in the same way."""


class RetryableCallError(CallError):
    """The same call may succeed later."""


class ObjectDeniedError(RetryableCallError):
    """S3 denies this object; it may allow others."""
