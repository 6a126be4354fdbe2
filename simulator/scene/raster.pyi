"""Types of the compiled canvas."""

import numpy as np
import numpy.typing as npt

class Canvas:
    """One picture being drawn."""

    width: int
    height: int
    def __init__(self, picture: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> None: ...
    def capsule(
        self,
        ax: float,
        ay: float,
        ar: float,
        bx: float,
        by: float,
        br: float,
        colour: tuple[float, float, float],
        distance: float,
        roundness: float = 0.3,
    ) -> None: ...
    def polygon(
        self, points: list[tuple[float, float]], colour: tuple[float, float, float], distance: float
    ) -> None: ...
    def begin_shadow(self, mask: npt.NDArray[np.float32]) -> None: ...
    def shadow_capsule(self, ax: float, ay: float, ar: float, bx: float, by: float, br: float) -> None: ...
    def shadow_polygon(self, points: list[tuple[float, float]]) -> None: ...
    def end_shadow(self, sunlit: npt.NDArray[np.float32], strength: float) -> None: ...
    def glow(self, cx: float, cy: float, rx: float, ry: float, amount: float) -> None: ...
    def finish(self, noise: npt.NDArray[np.int8], gain_q8: int) -> None: ...
