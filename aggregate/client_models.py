"""Models of the aggregate for other parts: listed, added, fetched, rolled out, compared.

with SyncModelClient(endpoint, token) as models:
    version = models.add(open("yolox-nano.zip", "rb").read(), model="yolox-nano")
    models.roll_out("yolox-nano", RolloutStep.PROMOTE, version.digest)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import grpc

from mesh.channel import Token, connect_sync
from mesh.errors import from_rpc_error
from trueframe.v1 import models_pb2
from trueframe.v1.models_pb2 import Gate, Model, ModelDiff, ModelVersion
from trueframe.v1.models_pb2_grpc import ModelServiceStub

__all__ = ["Gate", "Model", "ModelDiff", "ModelVersion", "RolloutStep", "SyncModelClient"]

CHUNK_BYTES = 1 << 20
DEADLINE_S = 10.0
TRANSFER_S = 600.0
COMPARE_S = 120.0


class RolloutStep(Enum):
    """What to do with a version."""

    SHADOW = models_pb2.ROLLOUT_STEP_SHADOW
    CANARY = models_pb2.ROLLOUT_STEP_CANARY
    PROMOTE = models_pb2.ROLLOUT_STEP_PROMOTE
    ROLL_BACK = models_pb2.ROLLOUT_STEP_ROLL_BACK
    END_TRIAL = models_pb2.ROLLOUT_STEP_END_TRIAL


class SyncModelClient:
    """Models, for plain programs. Raises errors of `mesh.errors`."""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = ModelServiceStub(self._channel)

    def __enter__(self) -> SyncModelClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._channel.close()

    def list(self, *, timeout_s: float = DEADLINE_S) -> list[Model]:
        """Models with their versions and roll-outs, by name."""
        try:
            answer = self._stub.ListModels(models_pb2.ListModelsRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return [*answer.models]

    def add(self, packed: bytes, *, model: str = "", timeout_s: float = TRANSFER_S) -> tuple[ModelVersion, bool]:
        """Adds a version, as a zip; and whether it was there already. Raises InvalidArgument, ResourceExhausted."""
        header = models_pb2.AddModelHeader(model=model, digest=hashlib.sha256(packed).hexdigest())

        def requests() -> Iterator[models_pb2.AddModelRequest]:
            yield models_pb2.AddModelRequest(header=header)
            for at in range(0, len(packed), CHUNK_BYTES):
                yield models_pb2.AddModelRequest(chunk=packed[at : at + CHUNK_BYTES])

        try:
            answer = self._stub.AddModel(requests(), timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return answer.version, answer.was_known

    def fetch(self, digest: str, *, timeout_s: float = TRANSFER_S) -> Iterator[bytes]:
        """Chunks of a version's zip. Raises NotFound."""
        try:
            for response in self._stub.FetchModel(models_pb2.FetchModelRequest(digest=digest), timeout=timeout_s):
                yield response.chunk
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def roll_out(
        self,
        model: str,
        step: RolloutStep,
        digest: str = "",
        *,
        cameras: Sequence[str] = (),
        force: bool = False,
        timeout_s: float = COMPARE_S,
    ) -> tuple[Model, tuple[Gate, ...]]:
        """Moves the roll-out of a model; where it stands then, and what the gates said.

        `digest`: the version, or eight digits from its beginning. Raises NotFound, FailedPrecondition (a gate).
        """
        request = models_pb2.RollOutModelRequest(
            model=model, step=step.value, digest=digest, cameras=cameras, force=force
        )
        try:
            answer = self._stub.RollOutModel(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return answer.model, (*answer.gates,)

    def diff(
        self, model: str, digest: str, *, than: str = "", from_ns: int = 0, to_ns: int = 0, timeout_s: float = COMPARE_S
    ) -> tuple[ModelDiff, ...]:
        """What two versions said of the same frames, by camera. Raises NotFound."""
        request = models_pb2.DiffModelsRequest(model=model, digest=digest, than=than, from_ns=from_ns, to_ns=to_ns)
        try:
            answer = self._stub.DiffModels(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return (*answer.diffs,)
