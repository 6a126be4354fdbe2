"""Types of the compiled JPEG scan writer."""

import numpy as np
import numpy.typing as npt

def scan(
    blocks: npt.NDArray[np.int16],
    pattern: bytes,
    codes: npt.NDArray[np.uint16],
    lengths: npt.NDArray[np.uint8],
    restart: int = 0,
) -> bytes: ...
