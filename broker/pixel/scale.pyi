import numpy as np
from numpy.typing import NDArray

MAX_SIDE: int

def area_average(plane: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]: ...
def rgb24(
    y: NDArray[np.uint8],
    u: NDArray[np.uint8],
    v: NDArray[np.uint8],
    width: int,
    height: int,
    bt709: bool,
    full_range: bool,
) -> bytes: ...
def packed_i420(
    before: bytes,
    y: NDArray[np.uint8],
    u: NDArray[np.uint8],
    v: NDArray[np.uint8],
    width: int,
    height: int,
) -> bytes: ...
def fit(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int]: ...
