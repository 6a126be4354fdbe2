"""Runs a tiny model on each execution provider, in a process of its own: a broken driver may end it.

`python -m trueframe.doctor.providers` prints one JSON object: provider to "" if it ran, else why not. What should not
be in this module: judging that.
"""

from __future__ import annotations

import json
import sys

WANTED = ("CUDAExecutionProvider", "CPUExecutionProvider")


def tried() -> dict[str, str]:
    """Each wanted provider that this onnxruntime has, with "" or the reason why it does not run."""
    import numpy as np
    import onnxruntime as ort
    from onnx import TensorProto, helper

    ort.set_default_logger_severity(4)
    node = helper.make_node("Add", ["x", "x"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph([node], "doctor", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    found = {}
    for provider in (name for name in WANTED if name in ort.get_available_providers()):
        try:
            session = ort.InferenceSession(model, providers=[provider])
            (answer,) = session.run(None, {"x": np.arange(4, dtype=np.float32)})
        except Exception as error:
            found[provider] = f"fails ({str(error).splitlines()[0][:200]})"
            continue
        # It falls back to the CPU in silence: what really runs is what the session says.
        is_real = session.get_providers()[0] == provider and answer.tolist() == [0, 2, 4, 6]
        found[provider] = "" if is_real else "cannot be loaded"
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tried()) + "\n")
