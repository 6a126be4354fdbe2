"""What detectors that run a graph have in common: who they are, where the graph runs, and a state of nothing seen."""

from __future__ import annotations

from typing import Generic, TypeVar

from detector_pool.onnx_models.shared import SharedRuns

State = TypeVar("State")


class OfModel(Generic[State]):
    """A detector of a model. `state`: makes what is remembered of a camera of which nothing was seen yet."""

    def __init__(self, name: str, runs: SharedRuns, state: type[State]) -> None:
        self._name = name
        self._runs = runs
        self._nothing_seen = state

    @property
    def name(self) -> str:
        """Name with version and digest."""
        return self._name

    @property
    def provider(self) -> str:
        """The execution provider that really runs: "CPU" or "CUDA"."""
        return self._runs.graph.runs_on

    def start(self) -> State:
        """Nothing seen yet."""
        return self._nothing_seen()
