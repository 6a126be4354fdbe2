"""A scene: layout, actors and incidents put together, frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator import counter
from simulator.spec import SceneSpec

LAYOUTS = ("yard", "street", "corridor", "carpark")


class Scene:
    """Draws any frame of one loop, and knows the truth about it."""

    def __init__(self, spec: SceneSpec) -> None:
        self.spec = spec
        rng = np.random.default_rng(spec.seed)
        h, w = spec.height, spec.width
        self._background = rng.integers(90, 130, (h, w)).astype(np.float32)

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Frame `index` as I420: an array of height * 3 / 2 rows, uint8."""
        h, w = self.spec.height, self.spec.width
        y = self._background.copy()
        x = (index * 4) % (w - 20)
        y[h // 2 : h // 2 + 40, x : x + 16] = 30
        out = np.full((h * 3 // 2, w), 128, np.uint8)
        out[:h] = y.astype(np.uint8)
        return out

    def silent_frames(self) -> frozenset[int]:
        """Frames at which the camera sends nothing."""
        return frozenset()

    def truth(self) -> dict[str, Any]:
        """Ground truth, as it goes into truth.json."""
        spec = self.spec
        return {
            "layout": spec.layout,
            "counter_box": counter.box(spec.width, spec.height),
            "incidents": [],
            "regions": [],
        }
