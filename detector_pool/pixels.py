"""Pictures out of the pixel host's shared memory, as a worker wants them: luma in place, holes with reasons."""

from __future__ import annotations

from pathlib import Path

from broker.pixel.client import Missing, MissingReason, RingReader
from detector_pool.picture import Hole, Shot
from detector_pool.reasons import NoScore
from mesh.channel import Credentials
from mesh.ids import FrameId

REASONS: dict[MissingReason, NoScore] = {
    MissingReason.BEFORE_JOIN_POINT: NoScore.NOT_DECODED,
    MissingReason.THINNED: NoScore.THINNED,
    MissingReason.DECODE_FAILED: NoScore.NOT_DECODED,
    MissingReason.NOT_RECEIVED: NoScore.NO_PIXELS,
    MissingReason.TOO_OLD: NoScore.THINNED,
    MissingReason.OVERRUN: NoScore.OVERRUN,
    MissingReason.HOST_LOST: NoScore.NO_PIXELS,
}


class RingSource:
    """Pictures of a ring. Follows the pixel host when that restarts."""

    def __init__(self, rings_socket: Path, token: Credentials, camera: str, after: FrameId | None, name: str) -> None:
        self._reader = RingReader(rings_socket, token, camera, name=name, after=after)

    @property
    def session(self) -> int | None:
        """The run of the pixel host that the newest item came from; None before the first."""
        return self._reader.session

    def read(self, timeout_s: float | None = None) -> Shot | Hole | None:
        """The next picture, held in the ring until the next call, or hole."""
        item = self._reader.read(timeout_s)
        if item is None:
            return None
        if isinstance(item, Missing):
            return Hole(item.first_id, item.count, REASONS.get(item.reason, NoScore.NO_PIXELS), item.received_ns)
        return Shot(
            item.id, item.received_ns, item.y, item.still_valid,
            u=item.u, v=item.v, full_range=item.full_range, bt709=item.bt709,
        )  # fmt: skip

    def close(self) -> None:
        """Ends a `read` under way in another thread."""
        self._reader.close()
