from __future__ import annotations

import inspect
import pickle

import grpc
import pytest

from mesh import errors
from mesh.errors import (
    STATUS_TABLE,
    Internal,
    NotFound,
    PortInUse,
    TrueframeError,
    Unavailable,
    first_known,
    from_rpc_error,
    rpc_details,
    rpc_metadata,
    status_of,
)

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, TrueframeError) and kind is not TrueframeError
]


class FailedCall(grpc.RpcError):
    """What a client holds after a failed call."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: tuple[tuple[str, bytes], ...] = ()) -> None:
        super().__init__()
        self._all = code, details, trailing

    def code(self) -> grpc.StatusCode:
        return self._all[0]

    def details(self) -> str:
        return self._all[1]

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return self._all[2]


def test_a_message_names_thing_reason_and_remedy() -> None:
    assert str(NotFound("camera 'gate'", "does not exist", "Add it.")) == "camera 'gate': does not exist. Add it."
    assert str(NotFound("camera 'gate'", "does not exist")) == "camera 'gate': does not exist"
    assert str(NotFound("", "does not exist.", "Add it.")) == "does not exist. Add it."


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_status_and_survives_the_wire_and_pickling(kind: type[TrueframeError]) -> None:
    error = kind("the thing", "the reason", "the remedy")
    arrived = from_rpc_error(FailedCall(status_of(error), rpc_details(error), rpc_metadata(error)))
    assert isinstance(error, type(arrived))
    assert str(arrived) == str(error)
    unpickled = pickle.loads(pickle.dumps(error))
    assert (type(unpickled), str(unpickled)) == (kind, str(error))


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_also_the_builtin_one_would_catch(kind: type[TrueframeError]) -> None:
    builtins = [base for base in kind.__mro__ if base.__module__ == "builtins" and base not in (Exception, object)]
    assert len(set(builtins) - {BaseException}) >= 1


def test_a_subclass_without_a_row_takes_its_parents_status() -> None:
    assert PortInUse not in STATUS_TABLE
    assert status_of(PortInUse("p", "r")) is grpc.StatusCode.FAILED_PRECONDITION
    assert status_of(TrueframeError("t", "r")) is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_any_status_of_a_stranger_becomes_an_error(code: grpc.StatusCode) -> None:
    error = from_rpc_error(FailedCall(code, "went wrong"), "broker")
    assert (error.thing, error.reason) == ("broker", "went wrong")


@pytest.mark.parametrize("value", [b"", b"[]", b"[1", b'{"a": 1}', b"\xff", b'["a","b"]', b"3"])
def test_ill_formed_fields_of_a_stranger_are_ignored(value: bytes) -> None:
    call = FailedCall(grpc.StatusCode.NOT_FOUND, "went wrong", ((errors.ERROR_METADATA_KEY, value),))
    assert str(from_rpc_error(call)) == "went wrong"


def test_an_error_of_no_call_at_all_is_internal() -> None:
    assert isinstance(from_rpc_error(grpc.RpcError("odd")), Internal)


def test_the_first_known_error_is_found_inside_groups() -> None:
    inner = Unavailable("bus", "is away")
    assert first_known(ExceptionGroup("a", [ValueError(), ExceptionGroup("b", [inner])])) is inner
    assert first_known(ExceptionGroup("a", [ValueError()])) is None
