"""Graphs that are loaded once for all detectors of a process, and run for their cameras in batches."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from detector_pool.detector import LoadedModel
from detector_pool.onnx_models.batches import CPU_SIZES, GPU_SIZES
from detector_pool.onnx_models.gathering import Gathering, equal_sizes
from detector_pool.onnx_models.graph import CPU, Arrays, Graph
from mesh.errors import InvalidArgument
from mesh.logs import get_logger

log = get_logger("detector_pool.onnx_models.shared")

TRIAL_S = 60.0
"""How long a graph may take for its first picture."""

_preferred = "auto"
_lock = threading.Lock()
_graphs: WeakValueDictionary[tuple[str, str, str], Graph] = WeakValueDictionary()
_runs: WeakValueDictionary[tuple[Any, ...], SharedRuns] = WeakValueDictionary()


def prefer(provider: str) -> None:
    """Where graphs that are loaded from now on run: "auto" (CUDA where there is a device), "cpu" or "cuda"."""
    global _preferred
    if provider not in ("auto", "cpu", "cuda"):
        raise InvalidArgument("execution provider", f"{provider!r} is not known", "One of: auto, cpu, cuda.")
    _preferred = provider


def loaded(model: LoadedModel, file: str) -> Graph:
    """A model's graph. Raises InvalidArgument: no such file, or not a graph."""
    key = (model.digest, file, _preferred)
    with _lock:
        graph = _graphs.get(key)
        if graph is None:
            graph = Graph(str(model.manifest["name"]), file, model.read(file), provider=_preferred)
            _graphs[key] = graph
        return graph


class SharedRuns:
    """Runs of one graph with one kind of rows. Any thread may call `run`."""

    def __init__(self, graph: Graph, row: NDArray[Any], input_name: str, constants: Mapping[str, NDArray[Any]]) -> None:
        self.graph = graph
        self._input = input_name
        self._constants = constants
        declared = next(one.shape[0] for one in graph.inputs if one.name == input_name)
        began = time.perf_counter()
        is_cpu = graph.provider == CPU
        first = np.repeat(row, declared or 1, axis=0)
        graph.try_out({input_name: first} | self._repeated(len(first)), TRIAL_S)
        if declared is None:
            self.sizes = equal_sizes(self._run_batch, row, CPU_SIZES if is_cpu else GPU_SIZES)
        else:
            self.sizes = (declared,)
        lanes = min(8, len(os.sched_getaffinity(0))) if is_cpu else 1
        self._gathering = Gathering(graph.what, self._run_batch, sizes=self.sizes, fills=not is_cpu, lanes=lanes)
        self.example = self._gathering.run(row)
        """What the graph puts out for the trial row."""
        log.info(
            "graph is ready", graph=graph.what, **graph.settings, batches=",".join(map(str, self.sizes)),
            seconds=round(time.perf_counter() - began, 2),
        )  # fmt: skip

    def run(self, row: NDArray[Any]) -> Arrays:
        """Outputs (1, ...) of a row (1, ...). Raises what `Gathering.run` raises."""
        return self._gathering.run(row)

    @property
    def batches(self) -> Mapping[int, int]:
        """How many batches of each size were run."""
        return self._gathering.batches

    def _run_batch(self, rows: NDArray[Any]) -> Arrays:
        return self.graph.run({self._input: rows} | self._repeated(len(rows)))

    def _repeated(self, count: int) -> dict[str, NDArray[Any]]:
        return {name: np.repeat(value, count, axis=0) for name, value in self._constants.items()}


def shared_runs(
    model: LoadedModel,
    file: str,
    row: NDArray[Any],
    *,
    input_name: str = "",
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> SharedRuns:
    """Runs of a model's graph for rows like `row`, tried once. Raises InvalidArgument, Unavailable."""
    graph = loaded(model, file)
    constants = constants or {}
    name = input_name or graph.inputs[0].name
    said = tuple((key, value.tobytes()) for key, value in sorted(constants.items()))
    key = (model.digest, file, graph.provider, name, row.shape, row.dtype.str, said)
    # One at a time: the trial of a graph is paid for once, not by each camera.
    with _trial:
        runs = _runs.get(key)
        if runs is None or runs.graph is not graph:
            runs = _runs[key] = SharedRuns(graph, row, name, constants)
        return runs


_trial = threading.Lock()
