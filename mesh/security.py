"""Who calls, and what they may do: the names of `mesh.tokens` and `mesh.roles`, and the caller of the present rpc.

The interceptor that fills in the caller is `mesh.interceptor`; it alone needs gRPC.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from mesh.errors import Unauthenticated
from mesh.roles import ANONYMOUS_SERVICES, ROLE_TABLE, Role, roles_for
from mesh.tokens import (
    Principal,
    Verifier,
    create_signing_key,
    load_public_key,
    load_signing_key,
    mint_token,
    write_public_key,
)

__all__ = [
    "ANONYMOUS_SERVICES",
    "ROLE_TABLE",
    "Principal",
    "Role",
    "Verifier",
    "create_signing_key",
    "current_principal",
    "load_public_key",
    "load_signing_key",
    "mint_token",
    "principal_of",
    "roles_for",
    "set_principal",
    "write_public_key",
]

_caller: ContextVar[Principal | None] = ContextVar("trueframe_principal", default=None)


def current_principal() -> Principal | None:
    """The caller of the rpc that this task serves; None outside of one."""
    return _caller.get()


def set_principal(principal: Principal) -> None:
    """Names the caller of the present task. The interceptor's, and that of tests without a server."""
    _caller.set(principal)


def principal_of(context: Any) -> Principal:
    """The caller of the rpc being served. Raises Unauthenticated where there is none, so that nothing is ever open."""
    principal = _caller.get()
    if principal is None:
        raise Unauthenticated("call", "carries no token")
    return principal
