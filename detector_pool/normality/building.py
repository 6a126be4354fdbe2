"""A graph of ONNX operators, put together call by call. Knows nothing of what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 10


class Building:
    """A graph under construction; values are known by their names.

    graph = Building()
    x = graph.input("x", (3,))
    graph.output("y", graph.op("Add", x, graph.constant(np.ones(3, np.float32))), (3,))
    model = graph.finished("example")
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._known: dict[bytes, str] = {}

    def input(self, name: str, shape: Sequence[int]) -> str:
        """A float32 input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def output(self, name: str, value: str, shape: Sequence[int]) -> None:
        """Makes a float32 value an output under a name."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def constant(self, value: NDArray[Any] | float | Sequence[int]) -> str:
        """A constant: an array as it is, a float as float32, whole numbers as int64. Equal ones are kept once."""
        if isinstance(value, float):
            value = np.asarray(value, np.float32)
        elif not isinstance(value, np.ndarray):
            value = np.asarray(value, np.int64)
        key = f"{value.dtype}{value.shape}".encode() + value.tobytes()
        if key not in self._known:
            name = f"c{len(self._constants)}"
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
            self._known[key] = name
        return self._known[key]

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Applies an operator with one output."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def pool(self, value: str, size: tuple[int, int], step: int = 1, *, highest: bool = False) -> str:
        """Means (or maxima) of windows, (1, channels, height, width).

        With a step of 1 the size stays; what lies outside counts as 0.
        """
        if step > 1:
            pads = [0, 0, 0, 0]
        else:
            top, left = (size[0] - 1) // 2, (size[1] - 1) // 2
            pads = [top, left, size[0] - 1 - top, size[1] - 1 - left]
        common = {"kernel_shape": list(size), "strides": [step, step], "pads": pads}
        if highest:
            return self.op("MaxPool", value, **common)
        return self.op("AveragePool", value, **common, count_include_pad=1)

    def top(self, value: str, count: int) -> str:
        """The `count` highest values along the last axis."""
        name, places = f"v{len(self._nodes)}", f"v{len(self._nodes)}i"
        self._nodes.append(helper.make_node("TopK", [value, self.constant([count])], [name, places], axis=-1))
        return name

    def part(self, value: str, axis: int, start: int, stop: int) -> str:
        """A slice along one axis."""
        return self.op("Slice", value, *(self.constant([number]) for number in (start, stop, axis)))

    def finished(self, name: str) -> onnx.ModelProto:
        """The checked model."""
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, initializer=list(self._constants.values())
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="trueframe"
        )
        onnx.checker.check_model(model, full_check=True)
        return model
