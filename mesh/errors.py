"""Errors with fields, and the one table that maps them to gRPC statuses and back.

Every error a user can meet names the thing, the reason and the remedy. What does not belong here: errors that only one
service can raise (they subclass these in that service's `errors.py` and inherit the status).

    TrueframeError
    ├── InvalidArgument (ValueError)        ill-formed input; nothing was changed
    ├── NotFound (KeyError)
    ├── AlreadyExists (ValueError)
    ├── Unauthenticated (PermissionError)   no token, or one that does not hold
    ├── PermissionDenied (PermissionError)  the token holds and the role or camera scope does not allow it
    ├── FailedPrecondition (RuntimeError)   the state of the system does not allow it now
    │   └── PortInUse
    ├── Conflict (RuntimeError)             somebody else changed it first; read again and retry
    ├── ResourceExhausted (RuntimeError)    a limit was reached: subscribers, memory, disk
    ├── Unavailable (ConnectionError)       nobody answers; may heal by itself
    ├── DeadlineExceeded (TimeoutError)
    ├── Cancelled (RuntimeError)
    ├── DataLoss (RuntimeError)             stored bytes are not what was stored
    ├── Unsupported (RuntimeError)
    └── Internal (RuntimeError)             a fault of ours; carries a reference number into the log

This module must stay free of gRPC at import: the supervisor uses it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

ERROR_METADATA_KEY = "trueframe-error-bin"
# gRPC refuses metadata beyond 8 KiB; the message travels percent-encoded, the fields as base64.
_MAX_FIELD_BYTES = 700
_MAX_MESSAGE_BYTES = 900


class TrueframeError(Exception):
    """Base of all. `thing`: what it is about; `reason`: what is wrong with it; `remedy`: what to do ("" if unknown)."""

    def __init__(self, thing: str, reason: str, remedy: str = "") -> None:
        super().__init__(thing, reason, remedy)
        self.thing = thing
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.thing}: {self.reason}" if self.thing else self.reason
        return f"{text.rstrip('.')}. {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.thing, self.reason, self.remedy)


class InvalidArgument(TrueframeError, ValueError):
    """Ill-formed input. Nothing was changed."""


class NotFound(TrueframeError, KeyError):
    """There is no such thing."""


class AlreadyExists(TrueframeError, ValueError):
    """The id is taken."""


class Unauthenticated(TrueframeError, PermissionError):
    """No token, or one that does not hold."""


class PermissionDenied(TrueframeError, PermissionError):
    """The token holds; its role or its cameras do not allow this."""


class FailedPrecondition(TrueframeError, RuntimeError):
    """The state of the system does not allow it now."""


class PortInUse(FailedPrecondition):
    """Another process serves this endpoint."""


class Conflict(TrueframeError, RuntimeError):
    """Somebody else changed it first; read again and retry."""


class ResourceExhausted(TrueframeError, RuntimeError):
    """A limit was reached: subscribers, memory, disk."""


class Unavailable(TrueframeError, ConnectionError):
    """Nobody answers. May heal by itself; retry."""


class DeadlineExceeded(TrueframeError, TimeoutError):
    """No answer within the time allowed."""


class Cancelled(TrueframeError, RuntimeError):
    """The call was cancelled."""


class DataLoss(TrueframeError, RuntimeError):
    """Stored bytes are not what was stored."""


class Unsupported(TrueframeError, RuntimeError):
    """The other side does not know this."""


class Internal(TrueframeError, RuntimeError):
    """A fault of ours; the reason carries the reference number of a log record."""


# The one table. A subclass without a row takes its parent's.
STATUS_TABLE: dict[type[TrueframeError], str] = {
    InvalidArgument: "INVALID_ARGUMENT",
    NotFound: "NOT_FOUND",
    AlreadyExists: "ALREADY_EXISTS",
    Unauthenticated: "UNAUTHENTICATED",
    PermissionDenied: "PERMISSION_DENIED",
    FailedPrecondition: "FAILED_PRECONDITION",
    Conflict: "ABORTED",
    ResourceExhausted: "RESOURCE_EXHAUSTED",
    Unavailable: "UNAVAILABLE",
    DeadlineExceeded: "DEADLINE_EXCEEDED",
    Cancelled: "CANCELLED",
    DataLoss: "DATA_LOSS",
    Unsupported: "UNIMPLEMENTED",
    Internal: "INTERNAL",
}
_CLASS_OF_STATUS = {status: error for error, status in STATUS_TABLE.items()} | {
    "OUT_OF_RANGE": InvalidArgument,
    "UNKNOWN": Internal,
}


def status_name(error: TrueframeError) -> str:
    """Name of the gRPC status of an error: "NOT_FOUND" and so on."""
    for ancestor in type(error).__mro__:
        if ancestor in STATUS_TABLE:
            return STATUS_TABLE[ancestor]
    return "INTERNAL"


def status_of(error: TrueframeError) -> grpc.StatusCode:
    """The gRPC status of an error, by the table."""
    import grpc

    return grpc.StatusCode[status_name(error)]


def rpc_details(error: TrueframeError) -> str:
    """The message for the status, cut to what fits into gRPC's metadata limits."""
    return _cut(str(error), _MAX_MESSAGE_BYTES)


def rpc_metadata(error: TrueframeError) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata from which `from_rpc_error` restores the fields on the other side."""
    fields = [_cut(text, _MAX_FIELD_BYTES) for text in (error.thing, error.reason, error.remedy)]
    return ((ERROR_METADATA_KEY, json.dumps(fields, ensure_ascii=False).encode()),)


def from_rpc_error(error: grpc.RpcError, thing: str = "") -> TrueframeError:
    """The error that a failed call stands for. Fields are restored when the server is one of ours and answered.

    `thing` names what was called ("broker at unix:/…") for the case that it did not.

    Works for `grpc.aio.AioRpcError` and for the synchronous API.
    """
    code: Any = getattr(error, "code", lambda: None)()
    details: Any = getattr(error, "details", lambda: None)()
    kind = _CLASS_OF_STATUS.get(getattr(code, "name", ""), Internal)
    trailing: Any = getattr(error, "trailing_metadata", lambda: None)()
    for key, value in trailing or ():
        if key == ERROR_METADATA_KEY:
            try:
                named, reason, remedy = (str(field) for field in json.loads(value))
            except (ValueError, TypeError):
                break
            return kind(named, reason, remedy)
    return kind(thing, str(details or error), _REMEDY_WITHOUT_FIELDS.get(kind, ""))


_REMEDY_WITHOUT_FIELDS: dict[type[TrueframeError], str] = {
    Unavailable: "Is the service running? `trueframe status` tells.",
}


def first_known(error: BaseException) -> TrueframeError | None:
    """The first error of this tree inside an exception or an exception group; None if there is none."""
    if isinstance(error, TrueframeError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            if found := first_known(member):
                return found
    return None


def _cut(text: str, limit_bytes: int) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    data = printable.encode(errors="replace")
    if len(data) <= limit_bytes:
        return data.decode()
    return data[:limit_bytes].decode(errors="ignore") + "…"
