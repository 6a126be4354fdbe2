"""Graphs at work: ONNX Runtime, one thread, on the processor. Imported late: it is slow to import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mesh.errors import InvalidArgument

PROVIDER = "CPUExecutionProvider"
_ERRORS_ONLY = 3


class Session:
    """A graph that is loaded. Holds no state between calls; may be called from several threads."""

    def __init__(self, graph: bytes, what: str) -> None:
        """Raises InvalidArgument naming `what`: no graph that can be run."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=[PROVIDER])
        except Exception as error:
            reason = str(error).splitlines()[0][:300]
            raise InvalidArgument(what, f"cannot be loaded: {reason}", "Train the model again.") from None
        self._outputs = [one.name for one in self._session.get_outputs()]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the inputs, by name."""
        return {one.name: tuple(one.shape) for one in self._session.get_inputs()}

    def run(
        self, inputs: Mapping[str, NDArray[np.float32]], wanted: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Outputs by name: all, or those wanted."""
        names = list(wanted) if wanted is not None else self._outputs
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
