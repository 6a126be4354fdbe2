"""Detector states that workers handed in: the starting points of successors, and of inspecting recorded frames again.

The newest of each minute is kept for an hour, the newest of each hour for a week. What a state means is the
detector's; here it is bytes with a digest.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from aggregate.ledger import store_key
from aggregate.pages import MINUTE_NS
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from mesh.store import Between, Collection, DocumentStore

log = get_logger("aggregate.checkpoints")

# As base64 text it has to fit into one document.
MAX_STATE_BYTES = 2_900_000
KEEP_EACH_MINUTE = 60
KEEP_EACH_HOUR = 7 * 24


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A detector's state behind a frame."""

    after: FrameId
    received_ns: int
    """Arrival of that frame, or of one close before it."""
    detector: str
    """Name and version."""
    state: bytes
    digest: bytes
    following: bytes = b""
    """How the regions followed the camera up to there; empty where they are fixed."""

    @property
    def is_whole(self) -> bool:
        """Whether the digest is that of the state, with what follows the camera behind it."""
        return hashlib.sha256(self.state + self.following).digest() == self.digest


class Checkpoints:
    """The stored checkpoints. Make it with `open`. Raises the store's errors."""

    def __init__(self, states: Collection, indexes: Collection) -> None:
        self._states = states
        self._indexes = indexes
        self._minutes: dict[str, list[int]] = {}

    @classmethod
    async def open(cls, store: DocumentStore) -> Checkpoints:
        """The checkpoints of a store."""
        return cls(await store.collection("checkpoints", ("place",)), await store.collection("checkpoint_minutes"))

    async def put(self, inspection: str, checkpoint: Checkpoint) -> None:
        """Stores a checkpoint, over an older one of the same minute. One that is too large is left out."""
        if len(checkpoint.state) + len(checkpoint.following) > MAX_STATE_BYTES:
            if rate_limited(f"checkpoint {inspection}", 60.0):
                log.error("checkpoint is too large to be kept", inspection=inspection, size_bytes=len(checkpoint.state))
            return
        key = store_key(inspection)
        minute = checkpoint.received_ns // MINUTE_NS
        await self._note(key, minute)
        body = {
            "place": _place(key, checkpoint.after),
            "inspection": inspection,
            "after": str(checkpoint.after),
            "received_ns": checkpoint.received_ns,
            "detector": checkpoint.detector,
            "state": base64.b64encode(checkpoint.state).decode(),
            "digest": checkpoint.digest.hex(),
            "following": base64.b64encode(checkpoint.following).decode(),
        }
        await self._states.put(_id(key, minute), body)

    async def newest(self, inspection: str, up_to: FrameId) -> Checkpoint | None:
        """The newest checkpoint that holds nothing behind a frame."""
        key = store_key(inspection)
        found = await self._states.query({"place": Between(f"{key}/", _place(key, up_to))}, order="-place", limit=1)
        if not found.documents:
            return None
        body = found.documents[0].body
        checkpoint = Checkpoint(
            FrameId.parse(body["after"]), body["received_ns"], body["detector"], base64.b64decode(body["state"]),
            bytes.fromhex(body["digest"]), base64.b64decode(body.get("following", "")),
        )  # fmt: skip
        return checkpoint if checkpoint.is_whole else None

    async def _note(self, key: str, minute: int) -> None:
        minutes = self._minutes.get(key)
        if minutes is None:
            document = await self._indexes.find(key)
            minutes = self._minutes[key] = list(document.body["minutes"]) if document else []
        if minute in minutes:
            return
        kept = kept_minutes([*minutes, minute])
        # The list first: a state that is in no list would lie there for ever.
        await self._indexes.put(key, {"minutes": sorted({*minutes, minute})})
        for gone in sorted(set(minutes) - set(kept)):
            await self._states.delete(_id(key, gone))
        self._minutes[key] = kept
        await self._indexes.put(key, {"minutes": kept})


def kept_minutes(minutes: Iterable[int]) -> list[int]:
    """Which of these minutes keep their checkpoint: the newest sixty, and the last one of each of the newest hours."""
    newest = sorted(set(minutes))
    last_of_hour = {minute // 60: minute for minute in newest}
    hours = sorted(last_of_hour)[-KEEP_EACH_HOUR:]
    return sorted({*newest[-KEEP_EACH_MINUTE:], *(last_of_hour[hour] for hour in hours)})


def _id(key: str, minute: int) -> str:
    return f"{key}/{minute:012d}"


def _place(key: str, frame: FrameId) -> str:
    return f"{key}/{frame.epoch:020d}/{frame.seq:016d}"
