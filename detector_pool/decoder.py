"""A worker's end of a decoding process: units go in from one thread, pictures and holes come out in another."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from typing import BinaryIO, cast

import numpy as np

from broker.pixel.client import BT709, FULL_RANGE, MissingReason
from detector_pool.decoding import ANSWER, CodedUnit, EpochEnd, encode_end, encode_start, encode_unit
from detector_pool.picture import Hole, Shot
from detector_pool.pixels import REASONS
from detector_pool.reasons import NoScore
from mesh.ids import FrameId
from mesh.process import child_environment

# Pictures that are decoded and not looked at yet; behind them the pipes fill, and then the sender waits.
MAX_DECODED = 8


class Decoder:
    """One decoding process. `after`: only what lies behind this frame is given out; None: everything."""

    def __init__(self, camera: str, after: FrameId | None) -> None:
        self._camera = camera
        # With neither preexec_fn nor a pty this is vfork and exec: nothing of gRPC's is forked.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "detector_pool.decoding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
        )
        self._in = cast(BinaryIO, self._process.stdin)
        self._out = cast(BinaryIO, self._process.stdout)
        self._decoded: queue.Queue[Shot | Hole | None] = queue.Queue(MAX_DECODED)
        self._is_closed = False
        self._reader = threading.Thread(target=self._read, name=f"decoded {camera}", daemon=True)
        self._reader.start()
        self._say(encode_start(after.epoch, after.seq) if after else encode_start(-1, -1))

    def feed(self, unit: CodedUnit | EpochEnd) -> bool:
        """Sends the next thing; waits while the decoder is busy. False once the process is gone."""
        if isinstance(unit, EpochEnd):
            return self._say(encode_end(unit))
        return self._say(encode_unit(unit), unit.payload)

    def end(self) -> None:
        """Nothing more will be sent: what is held back comes out, then None."""
        with contextlib.suppress(OSError):
            self._in.close()

    def get(self, timeout_s: float | None) -> Shot | Hole | None:
        """The next picture or hole, or None at the end. Raises queue.Empty after `timeout_s` without one."""
        return self._decoded.get(timeout=timeout_s)

    def close(self) -> None:
        """Ends the process."""
        self._is_closed = True
        self._process.kill()
        while self._reader.is_alive():
            with contextlib.suppress(queue.Empty):
                self._decoded.get(timeout=0.02)
        self._process.wait()
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError):
                pipe.close()

    def _say(self, *parts: bytes | memoryview) -> bool:
        try:
            for part in parts:
                self._in.write(part)
            self._in.flush()
        except (OSError, ValueError):
            return False
        return True

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while len(head := self._out.read(ANSWER.size)) == ANSWER.size:
                epoch, seq, count, reason, received_ns, width, height, flags = ANSWER.unpack(head)
                frame = FrameId(self._camera, epoch, seq)
                if reason:
                    why = REASONS.get(MissingReason(reason), NoScore.NO_PIXELS)
                    self._decoded.put(Hole(frame, count, why, received_ns))
                    continue
                luma, chroma = width * height, ((width + 1) // 2) * ((height + 1) // 2)
                data = self._out.read(luma + 2 * chroma)
                if len(data) != luma + 2 * chroma:
                    break
                planes = np.frombuffer(data, np.uint8)
                u, v = planes[luma:].reshape(2, (height + 1) // 2, (width + 1) // 2)
                self._decoded.put(
                    Shot(
                        frame, received_ns, planes[:luma].reshape(height, width), u=u, v=v,
                        full_range=bool(flags & FULL_RANGE), bt709=bool(flags & BT709),
                    )
                )  # fmt: skip
        if not self._is_closed:
            self._decoded.put(None)
