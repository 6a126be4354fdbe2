"""Requests of several cameras' threads gathered into batches. No thread of its own.

A request runs at once if a lane is free: a single camera never waits for others. While all lanes run, requests queue;
whoever ends a run wakes the first in the queue, who takes as many with it as fit into a batch. A batch that fails is
run again one by one, so that what fails is told to whom it concerns.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.onnx_models.batches import next_batch, stacked
from mesh.errors import DeadlineExceeded, ResourceExhausted

Rows = NDArray[Any]
RunBatch = Callable[[Rows], Sequence[NDArray[Any]]]
"""(batch, ...) in; outputs whose first side is the batch."""
MAX_WAITING = 512
MAX_WAIT_S = 60.0


class _Request:
    __slots__ = ("error", "outputs", "row", "turn")

    def __init__(self, row: Rows) -> None:
        self.row = row
        self.turn = threading.Event()
        """Done, or the first in the queue while a lane is free."""
        self.outputs: list[NDArray[Any]] | None = None
        self.error: Exception | None = None


class Gathering:
    """Runs one graph for whoever asks. Any thread may call `run`."""

    def __init__(
        self, what: str, run_batch: RunBatch, *, sizes: Sequence[int] = (1,), fills: bool = False, lanes: int = 1
    ) -> None:
        self._what = what
        self._run_batch = run_batch
        self._sizes = tuple(sizes)
        self._fills = fills or self._sizes[0] > 1
        self._lanes = lanes
        self._lock = threading.Lock()
        self._waiting: deque[_Request] = deque()
        self._running = 0
        self.batches: dict[int, int] = {}
        """How many batches of each size were run."""

    def run(self, row: Rows) -> list[NDArray[Any]]:
        """Outputs of one row (1, ...), each (1, ...).

        Raises what the graph raises; ResourceExhausted: too many wait; DeadlineExceeded: the graph hangs.
        """
        request = _Request(row)
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                raise ResourceExhausted(
                    self._what, f"has {MAX_WAITING} pictures waiting", "Lower max_fps, or add workers."
                )
            self._waiting.append(request)
            batch = self._take() if self._running < self._lanes and self._waiting[0] is request else []
        while not batch:
            if not request.turn.wait(MAX_WAIT_S):
                self._give_up(request)
            if request.outputs is not None or request.error is not None:
                break
            with self._lock:
                request.turn.clear()
                if self._waiting and self._waiting[0] is request and self._running < self._lanes:
                    batch = self._take()
        if batch:
            self._run(batch)
        if request.error is not None:
            raise request.error
        assert request.outputs is not None
        return request.outputs

    def _take(self) -> list[_Request]:
        """The next batch, with the lock held; whoever is first then goes on if another lane is free."""
        count, _ = next_batch(len(self._waiting), self._sizes, fills=self._fills)
        self._running += 1
        batch = [self._waiting.popleft() for _ in range(count)]
        self._wake_first()
        return batch

    def _wake_first(self) -> None:
        if self._waiting and self._running < self._lanes:
            self._waiting[0].turn.set()

    def _run(self, batch: list[_Request]) -> None:
        try:
            self._run_rows(batch)
        finally:
            with self._lock:
                self._running -= 1
                self._wake_first()
            for request in batch:
                request.turn.set()

    def _run_rows(self, batch: list[_Request]) -> None:
        _, size = next_batch(len(batch), self._sizes, fills=True)
        try:
            outputs = self._run_batch(stacked([request.row for request in batch], size))
            # Whoever keeps a row must not keep the batch.
            split = [[out[i : i + 1].copy() if size > 1 else out for out in outputs] for i in range(len(batch))]
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for request in batch:
                self._run_rows([request])
            return
        self.batches[size] = self.batches.get(size, 0) + 1
        for request, one in zip(batch, split, strict=True):
            request.outputs = one

    def _give_up(self, request: _Request) -> None:
        with self._lock:
            if request in self._waiting:
                self._waiting.remove(request)
            self._wake_first()
        raise DeadlineExceeded(self._what, f"gave no answer within {MAX_WAIT_S:g} s", "Is the model far too slow here?")


def equal_sizes(run_batch: RunBatch, row: Rows, sizes: Sequence[int]) -> tuple[int, ...]:
    """Those batch sizes that give each row, to the bit, what it gives alone. A size that fails is left out too.

    `row`: (1, ...), anything; its values are moved about so that the rows differ.
    """
    rows = [np.roll(row, shift * 7, axis=-1) for shift in range(max(sizes))]
    alone = [list(run_batch(one)) for one in rows[:1]]
    good = []
    for size in sizes:
        if size == 1:
            good.append(1)
            continue
        try:
            outputs = run_batch(stacked(rows[:size], size))
        except Exception:
            break
        while len(alone) < size:
            alone.append(list(run_batch(rows[len(alone)])))
        if all(
            out.shape[:1] == (size,) and np.array_equal(out[i : i + 1], alone[i][n], equal_nan=out.dtype.kind == "f")
            for i in range(size)
            for n, out in enumerate(outputs)
        ):
            good.append(size)
    return tuple(good)
