"""A picture as a graph wants it: size, colours, range, layout. Made once for all detectors that want the same.

The planes are averaged and converted in integers (`broker.pixel`), so that the same picture gives the same bytes on
every machine; what follows is a table of 256 values for each colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker.pixel.client import rgb24
from detector_pool.onnx_models.fields import Fields
from detector_pool.onnx_models.graph import Graph, TensorKind
from detector_pool.picture import Picture, shared
from mesh.errors import InvalidArgument

MAX_SIDE = 4096
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in a graph's input, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    def fractions(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """(n, 2) pixels of the input as fractions of the picture."""
        moved = np.asarray(points, np.float64) - (self.left, self.top)
        result: NDArray[np.float64] = moved / (self.width, self.height)
        return result


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a model wants its pictures."""

    width: int
    height: int
    channels: int = 3
    is_planar: bool = True
    """Colour by colour (NCHW), not pixel by pixel (NHWC)."""
    dtype: str = "float32"
    colours: str = "rgb"
    fit: str = "letterbox"
    place: str = "centre"
    padding: int = 114
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    def placement(self, width: int, height: int) -> Placement:
        """Where a picture of this size lies."""
        if self.fit == "stretch":
            return Placement(0, 0, self.width, self.height)
        # In integers, so that a picture lies at the same pixel on every machine.
        if width * self.height >= height * self.width:
            size = (self.width, max(1, (2 * height * self.width + width) // (2 * width)))
        else:
            size = (max(1, (2 * width * self.height + height) // (2 * height)), self.height)
        if self.place == "corner":
            return Placement(0, 0, *size)
        return Placement((self.width - size[0]) // 2, (self.height - size[1]) // 2, *size)

    def of(self, picture: Picture) -> tuple[NDArray[Any], Placement]:
        """The graph's input, one row, shared by all detectors that want it so; and where the picture lies in it."""
        height, width = picture.y.shape
        place = self.placement(width, height)
        row = shared(picture, f"prepared {self}", lambda one: self.row(pixels(one, place, self.channels), place))
        return row, place

    def row(self, rgb: Bytes, place: Placement) -> NDArray[Any]:
        """(1, ...) of (height, width, channels) bytes of the placement's size."""
        planes = np.empty((1, self.channels, self.height, self.width), np.dtype(self.dtype))
        rows, columns = slice(place.top, place.top + place.height), slice(place.left, place.left + place.width)
        is_whole = (place.width, place.height) == (self.width, self.height)
        for channel in range(self.channels):
            source = self.channels - 1 - channel if self.colours == "bgr" else channel
            table, plane = self.table(channel), planes[0, channel]
            if not is_whole:
                plane[:] = table[self.padding]
            if self._is_plain:
                plane[rows, columns] = rgb[:, :, source]
            else:
                plane[rows, columns] = table[rgb[:, :, source]]
        return planes if self.is_planar else np.ascontiguousarray(planes.transpose(0, 2, 3, 1))

    def table(self, channel: int) -> NDArray[Any]:
        """What the values 0 to 255 of a colour become."""
        mean, deviation = (one[channel % len(one)] for one in (self.mean, self.deviation))
        values = (self.low + np.arange(256.0) * (self.high - self.low) / 255 - mean) / deviation
        return values.astype(self.dtype)

    def noise(self) -> NDArray[Any]:
        """A row of no picture, always the same: for trials."""
        bytes_ = np.random.default_rng(5).integers(0, 256, (self.height, self.width, self.channels), np.uint8)
        return self.row(bytes_, Placement(0, 0, self.width, self.height))

    @property
    def _is_plain(self) -> bool:
        return (self.low, self.high, set(self.mean), set(self.deviation)) == (0.0, 255.0, {0.0}, {1.0})


def pixels(picture: Picture, place: Placement, channels: int = 3) -> Bytes:
    """The picture averaged to the placement's size: (height, width, 3) R, G, B, or (height, width, 1) grey."""
    is_grey = channels == 1 or picture.u is None or picture.v is None
    name = f"{'grey' if is_grey else 'rgb'} {place.width}x{place.height}"
    rgb = shared(picture, name, lambda one: _converted(one, place.width, place.height, is_grey))
    return rgb[:, :, :1] if channels == 1 else rgb


def _converted(picture: Picture, width: int, height: int, is_grey: bool) -> Bytes:
    rows, columns = picture.y.shape
    u, v = picture.u, picture.v
    if is_grey or u is None or v is None:
        u = v = np.full(((rows + 1) // 2, (columns + 1) // 2), 128, np.uint8)
    data = rgb24(picture.y, u, v, width, height, picture.bt709, picture.full_range)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


DEFAULTS: dict[str, dict[str, Any]] = {
    "yolox": {"colours": "bgr", "range": (0.0, 255.0), "place": "corner"},
    "nanodet": {"colours": "bgr", "range": (0.0, 255.0), "fit": "stretch",
                "mean": (103.53, 116.28, 123.675), "deviation": (57.375, 57.12, 58.395)},
    "rtdetr": {"fit": "stretch"},
    "movenet": {"range": (0.0, 255.0), "padding": 0},
}  # fmt: skip
"""How the models of a decoder usually want their pictures: what `[input]` does not say."""


def preparation(fields: Fields, graph: Graph, decoder: str, *, input_kind: TensorKind | None = None) -> Preparation:
    """What `[input]` says, and for the rest what the graph declares or models of this decoder usually want.

    Raises InvalidArgument: they contradict each other, or neither says it.
    """
    usual = DEFAULTS.get(decoder, {})
    kind = input_kind or graph.inputs[0]
    if len(kind.shape) != 4:
        remedy = "A picture's input has four sides: 1x3x416x416 or 1x416x416x3."
        raise InvalidArgument(graph.what, f"takes {kind}, which is no picture", remedy)
    layout = fields.text("layout", _layout(kind), ("nchw", "nhwc"))
    sides = kind.shape[1:] if layout == "nchw" else (kind.shape[3], *kind.shape[1:3])
    channels = sides[0] or 3
    if channels not in (1, 3):
        remedy = 'It must be 1 (grey) or 3. Say layout = "nchw" or "nhwc" in [input] if it lies elsewhere.'
        raise InvalidArgument(graph.what, f"takes {kind}: {channels} colours in layout {layout}", remedy)
    width, height = (
        _side(fields, graph, kind, name, side) for name, side in (("width", sides[2]), ("height", sides[1]))
    )
    low, high = fields.numbers("range", usual.get("range", (0.0, 1.0)), (2,))
    mean = fields.numbers("mean", usual.get("mean", (0.0,)), (1, channels))
    deviation = fields.numbers("deviation", usual.get("deviation", (1.0,)), (1, channels))
    if 0.0 in deviation:
        raise fields.refused("deviation", "has a 0 in it", "Values are divided by it; leave it out for none.")
    made = Preparation(
        width=width,
        height=height,
        channels=channels,
        is_planar=layout == "nchw",
        dtype=kind.dtype.name,
        colours=fields.text("colours", usual.get("colours", "rgb"), ("rgb", "bgr")),
        fit=fields.text("fit", usual.get("fit", "letterbox"), ("letterbox", "stretch")),
        place=fields.text("place", usual.get("place", "centre"), ("centre", "corner")),
        padding=fields.whole("padding", usual.get("padding", 114), 0, 255),
        low=low,
        high=high,
        mean=mean,
        deviation=deviation,
    )
    if kind.dtype.kind in "iu" and (high - low) / min(map(abs, deviation)) < 128:
        remedy = "Say range = [0, 255] in [input]."
        raise fields.refused("range", f"is [{low:g}, {high:g}], and the graph takes whole numbers ({kind})", remedy)
    return made


def _layout(kind: TensorKind) -> str:
    return "nhwc" if kind.shape[3] in (1, 3) and kind.shape[1] not in (1, 3) else "nchw"


def _side(fields: Fields, graph: Graph, kind: TensorKind, name: str, declared: int | None) -> int:
    if declared is None:
        if not fields.has(name):
            raise fields.refused(
                name, f"is missing, and {graph.what} leaves it open ({kind})", f"Say {name} = 416 or so."
            )
        return fields.whole(name, None, 16, MAX_SIDE)
    said = fields.whole(name, declared, 1, MAX_SIDE)
    if said != declared:
        raise fields.refused(name, f"is {said}, and {graph.what} takes {kind}", f"Leave it out, or say {declared}.")
    if declared > MAX_SIDE:
        raise InvalidArgument(graph.what, f"takes {kind}; sides are at most {MAX_SIDE}")
    return declared
