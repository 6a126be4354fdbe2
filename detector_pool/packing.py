"""A detector's state as bytes: numbers and arrays by name, exact to the last bit, with the detector's version in front.

    pack("motion@1", {"last_ns": 5}, {"background": array}) -> bytes
    unpack("motion@1", data) -> (numbers, arrays)

Layout: "TFDS", format (u16), length of the head (u32), head (JSON: detector, numbers, arrays with type and shape),
arrays in the order of the head, each as its bytes side by side (all first bytes, all second ones, ...), compressed.
Which numbers and arrays a state has is the detector's own affair.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
_PREFIX = struct.Struct("<4sHI")
_MAGIC = b"TFDS"
_TYPES = ("<f4", "<f8", "<i2", "<i8", "|b1", "|u1")
# What is read back may come from a broken disk: a state never takes more than this.
MAX_STATE_BYTES = 64 << 20
MAX_HEAD_BYTES = 1 << 16

Numbers = Mapping[str, int | float]
Arrays = Mapping[str, NDArray[Any] | None]


def pack(detector: str, numbers: Numbers, arrays: Arrays) -> bytes:
    """The state as bytes; arrays that are None are left out."""
    listed, data = [], []
    for name, array in arrays.items():
        if array is None:
            continue
        type_name = array.dtype.newbyteorder("<").str if array.dtype.itemsize > 1 else array.dtype.str
        if type_name not in _TYPES:
            raise TypeError(f"array {name} is of type {array.dtype}, which states do not have")
        listed.append([name, type_name, list(array.shape)])
        planes = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.dtype.itemsize).T
        data.append(np.ascontiguousarray(planes).tobytes())
    head = json.dumps({"detector": detector, "numbers": dict(numbers), "arrays": listed}).encode()
    return _PREFIX.pack(_MAGIC, FORMAT, len(head)) + head + zlib.compress(b"".join(data), 1)


def unpack(detector: str, data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The inverse of `pack`. Raises ValueError: not a state, another format, another detector or version."""
    try:
        magic, version, head_size = _PREFIX.unpack_from(data)
        if magic != _MAGIC or version != FORMAT or head_size > MAX_HEAD_BYTES:
            raise ValueError("is no state of this format")
        head = json.loads(data[_PREFIX.size : _PREFIX.size + head_size])
        if head["detector"] != detector:
            raise ValueError(f"is a state of {str(head['detector'])[:80]}, not of {detector}")
        inflater = zlib.decompressobj()
        raw = memoryview(inflater.decompress(data[_PREFIX.size + head_size :], MAX_STATE_BYTES))
        if not inflater.eof:
            raise ValueError("ends early, or is too large")
        arrays: dict[str, NDArray[Any]] = {}
        for name, type_name, shape in head["arrays"]:
            if type_name not in _TYPES:
                raise ValueError(f"has an array of type {type_name!r:.20}")
            kind = np.dtype(type_name)
            size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
            planes = np.frombuffer(raw[:size], np.uint8).reshape(kind.itemsize, -1)
            arrays[name] = np.ascontiguousarray(planes.T).view(kind).reshape(shape)
            raw = raw[size:]
        if len(raw):
            raise ValueError("has more in it than it says")
    except (struct.error, zlib.error, KeyError, TypeError) as error:
        raise ValueError(f"cannot be read ({type(error).__name__})") from None
    return head["numbers"], arrays
