"""How the outputs of graphs are read, by the name that `detector.toml` gives.

A decoder checks on load that the outputs have its form: a wrong one would find boxes, and all of them nonsense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from detector_pool.onnx_models.decoders.decoder import Decoder, Frame, Mismatch
from detector_pool.onnx_models.decoders.movenet import MoveNet
from detector_pool.onnx_models.decoders.nanodet import NanoDet
from detector_pool.onnx_models.decoders.rtdetr import RtDetr
from detector_pool.onnx_models.decoders.yolo import YoloPose, YoloV5, YoloV8, YoloV10
from detector_pool.onnx_models.decoders.yolox import YoloX
from detector_pool.onnx_models.fields import Fields
from mesh.errors import InvalidArgument

__all__ = ["OBJECTS", "POSES", "Decoder", "Frame", "Maker", "checked_decoder"]

Maker = Callable[[Fields, Frame], Decoder]
OBJECTS: Mapping[str, Maker] = {
    "yolox": YoloX, "nanodet": NanoDet, "yolov5": YoloV5, "yolov8": YoloV8, "yolov10": YoloV10, "rtdetr": RtDetr,
}  # fmt: skip
POSES: Mapping[str, Maker] = {"movenet": MoveNet, "yolo-pose": YoloPose}


def checked_decoder(
    name: str, makers: Mapping[str, Maker], fields: Fields, frame: Frame, outputs: Sequence[NDArray[Any]], graph: str
) -> Decoder:
    """The decoder of that name, if the outputs of a trial have its form.

    `fields`: the table `[output]`. Raises InvalidArgument saying what was expected and found, and what would fit.
    """
    decoder = makers[name](fields, frame)
    fields.done()
    problem = _mismatch(decoder, outputs)
    if problem is None:
        return decoder
    found = ", ".join("x".join(map(str, one.shape)) for one in outputs)
    fitting = []
    for other, maker in makers.items():
        try:
            # With the other's own defaults: what `[output]` says is meant for the one that is named.
            fits = other != name and _mismatch(maker(Fields(graph, {}, "output"), frame), outputs) is None
        except InvalidArgument:
            fits = False
        if fits:
            fitting.append(other)
    remedy = (
        f'It has the form of {" or ".join(fitting)}: say decoder = "{fitting[0]}".'
        if fitting
        else ("Is it another model, another size of input, or are the labels too many or too few?")
    )
    reason = f"expects {decoder.expects}, but {graph} puts out {found}: {problem}"
    raise InvalidArgument(f"decoder {name}", reason, remedy)


def _mismatch(decoder: Decoder, outputs: Sequence[NDArray[Any]]) -> str | None:
    try:
        decoder.check(outputs)
    except Mismatch as problem:
        return str(problem)
    return None
