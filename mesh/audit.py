"""Who changed what and who looked at which pictures, in every service: one entry a change, a view, a refusal.

Belongs here: what an entry says and when it is written. Does not belong here: which rpc changes or shows something
(`rpc_kinds`), how entries reach the disk (`audit_log`), reading them (`audit_book`), the key of the head (`audit_key`).

A change is written, and on the disk, before it is answered; a view when it is asked for, without waiting. Users'
changes are refused while the log has not been written for longer than `PATIENCE_NS`: what nobody can account for later
is not done. Services go on: recording and alarms matter more, and what is missing is counted in the log itself.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from mesh.audit_book import Form
from mesh.audit_log import ChainLog, Sign
from mesh.audit_text import object_of, said
from mesh.clocks import Clock
from mesh.errors import ResourceExhausted, Unavailable
from mesh.logs import rate_limited
from mesh.roles import Role
from mesh.rpc_kinds import RpcKind, kind_of
from mesh.tokens import Principal

AUDIT = Form(
    "audit", (), ("who", "role", "token", "peer", "rpc", "kind", "object", "outcome", "before", "after", "digest")
)
PATIENCE_NS = 10_000_000_000
_WAIT_S = 2.0
_MAX_TEXT = 1000
# A stream may choose anew at any time; so many choices of one call are written.
_MAX_CHOICES = 100
# What ends a view in the ordinary way.
_ENDINGS = frozenset({"OK", "CANCELLED", "UNAVAILABLE"})
ASKED = "ASKED"
"""Outcome of a view when it begins."""

_before: ContextVar[list[str] | None] = ContextVar("trueframe_audit_before", default=None)


def note_before(text: str) -> None:
    """Tells the entry of the present call how things were before it. For servicers; no secrets."""
    noted = _before.get()
    if noted is not None:
        noted.append(text)


class AuditTrail:
    """The audit log of one service. Use it as a context manager."""

    def __init__(self, folder: Path, clock: Clock, sign: Sign | None = None, **bounds: Any) -> None:
        """`bounds` as of ChainLog. Raises OSError, PermissionDenied."""
        self._clock = clock
        self._log = ChainLog(AUDIT, folder, clock, sign, **bounds)

    def __enter__(self) -> Self:
        self._log.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Waits until everything is on the disk; False if that took longer."""
        return self._log.flush(timeout_s)

    def call(self, method: str) -> AuditedCall | None:
        """One call that is beginning; None if it is of a kind that is not written."""
        kind = kind_of(method)
        return None if kind is RpcKind.LOOK or not method.startswith("/trueframe.") else AuditedCall(self, method, kind)

    def require_writable(self) -> None:
        """Raises Unavailable when entries have waited for the disk for too long."""
        since_ns = self._log.waits_since_ns
        if self._log.is_full or (since_ns and self._clock.utc_ns() - since_ns > PATIENCE_NS):
            raise Unavailable(
                "audit log",
                "cannot be written, and no change is made without an entry in it",
                "Make room on the disk of the data folder, or look at its permissions.",
            )

    async def write(self, entry: dict[str, Any], *, is_awaited: bool) -> None:
        """Adds an entry; `is_awaited`: returns when it is on the disk, or after two seconds."""
        written = self._log.append(entry, is_urgent=is_awaited)
        if is_awaited and not written.cancelled():
            await asyncio.wait({asyncio.wrap_future(written)}, timeout=_WAIT_S)


class AuditedCall:
    """What is known of one call while it is served."""

    def __init__(self, trail: AuditTrail, method: str, kind: RpcKind) -> None:
        self._trail = trail
        self._method = method
        self.kind = kind
        self._who: Principal | None = None
        self._peer = ""
        self._request: Any = None
        self._begun = 0
        self._noted: list[str] = []

    def called_by(self, principal: Principal | None, peer: str) -> None:
        """Who calls, from where."""
        self._who, self._peer = principal, peer
        _before.set(self._noted)

    def require_writable(self) -> None:
        """For changes by users: raises Unavailable when no entry can be written."""
        if self.kind is RpcKind.CHANGE and self._who is not None and self._who.role is not Role.SERVICE:
            self._trail.require_writable()

    def came(self, request: Any) -> None:
        """The request of a unary call, before it is known whether it is allowed."""
        self._request = request

    async def saw(self, request: Any) -> None:
        """A request that is being served: a view is written now, since it may last for days."""
        if self.kind is RpcKind.CHANGE:
            self._request = self._request if self._begun else request  # of an upload what it begins with
            self._begun += 1
        elif self._begun < _MAX_CHOICES:
            self._request = request
            self._begun += 1
            await self._trail.write(self._entry(ASKED), is_awaited=False)

    async def ended(self, status: str, error: Exception | None = None) -> None:
        """The call has been served, or refused."""
        if self.kind is not RpcKind.CHANGE and self._begun and status in _ENDINGS:
            return
        is_unbounded = self._who is None or isinstance(error, ResourceExhausted)
        # Whoever may call without limit must not be able to fill the log.
        if is_unbounded and not rate_limited(f"audit {self._method} {status}", 1.0):
            return
        await self._trail.write(self._entry(status), is_awaited=self.kind is RpcKind.CHANGE and status == "OK")

    def _entry(self, outcome: str) -> dict[str, Any]:
        text = said(self._request)
        who = self._who
        return {
            "who": who.name[:200] if who else "", "role": str(who.role) if who else "",
            "token": who.token_id[:64] if who else "", "peer": self._peer[:200],
            "rpc": self._method.rpartition(".")[2][:200], "kind": str(self.kind), "object": object_of(self._request),
            "outcome": outcome, "before": "; ".join(self._noted)[:_MAX_TEXT], "after": text[:_MAX_TEXT],
            "digest": sha256(text.encode("utf-8", "replace")).hexdigest() if text else "",
        }  # fmt: skip
