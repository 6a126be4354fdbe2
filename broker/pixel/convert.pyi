from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SIDE: int

def reduced(
    plane: NDArray[Any],
    width: int,
    height: int,
    *,
    step_x: int = 1,
    step_y: int = 1,
    repeat_x: int = 1,
    shift: int = 0,
) -> NDArray[np.uint8]: ...
