"""What the interceptor decides between a call's metadata and its first message."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.config_security import LimitsConfig
from mesh.interceptor import SecurityInterceptor
from mesh.limits import CallerLimits
from mesh.revocation import Revocation, Revocations, revoke
from mesh.tokens import Verifier, mint_token

KEY = Ed25519PrivateKey.generate()
ADD = "/trueframe.v1.CameraService/AddCamera"


class Aborted(Exception):
    pass


class Context:
    """The part of a server's context that refusals use."""

    def peer(self) -> str:
        return "test"

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        raise Aborted(code.name)


async def answer(request: Any, context: Any) -> str:
    return "done"


async def begun(interceptor: SecurityInterceptor, token: str, method: str = ADD) -> Any:
    """The handler of a call whose metadata came, and no message yet."""

    async def continuation(details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(answer)

    details: Any = SimpleNamespace(method=method, invocation_metadata=(("authorization", f"Bearer {token}"),))
    return await interceptor.intercept_service(continuation, details)


async def test_a_token_that_is_revoked_while_the_first_message_is_kept_back_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "revoked.jws"
    known = Revocations(path, [KEY.public_key()])
    verifier = Verifier(KEY.public_key(), revocations=known)
    interceptor = SecurityInterceptor(verifier)
    token = mint_token(KEY, "eve", "administrator")
    assert await (await begun(interceptor, token)).unary_unary(b"", Context()) == "done"
    waiting = await begun(interceptor, token)
    revoke(path, KEY, Revocation(1, 10**10, token_id=verifier.verify(token).token_id))
    assert known.refresh()
    with pytest.raises(Aborted, match="UNAUTHENTICATED"):
        await waiting.unary_unary(b"", Context())


async def test_calls_that_the_role_may_not_make_count_against_the_callers_limits() -> None:
    limits = CallerLimits(LimitsConfig(changes_per_s=0.1, changes_burst=2))
    interceptor = SecurityInterceptor(Verifier(KEY.public_key()), limits)
    token = mint_token(KEY, "eve", "viewer")
    for status in ("PERMISSION_DENIED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED"):
        with pytest.raises(Aborted, match=status):
            await (await begun(interceptor, token)).unary_unary(b"", Context())
