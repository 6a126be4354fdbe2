"""The stamp in every access unit: a camera's running number and the time of sending.

What belongs here: its form (an SEI message of user_data_unregistered, fixed length, hexadecimal text so that no
emulation prevention can ever be needed; in a JPEG, unused entries of its second quantisation table) and how it is read
back. What does not: where it is put (`bitstream`, `jpeg`), when it is filled in (`packets`).
"""

from __future__ import annotations

UUID = b"trueframe-sim-01"
PLACEHOLDER = b"-" * 32
_MESSAGE = bytes([5, len(UUID) + len(PLACEHOLDER)]) + UUID + PLACEHOLDER + b"\x80"
NAL = b"\x06" + _MESSAGE
NAL_H265 = b"\x4e\x01" + _MESSAGE
"""A prefix SEI message."""


def read(payload: bytes | bytearray | memoryview) -> tuple[int, int]:
    """The running number and send time (UTC ns) stamped into an access unit, in any of its forms.

    Raises ValueError when the unit has no stamp, or one that is not whole.
    """
    data = bytes(payload)
    at = data.find(UUID)
    if at < 0:
        raise ValueError("the access unit carries no simulator stamp")
    text = data[at + len(UUID) : at + len(UUID) + len(PLACEHOLDER)]
    if len(text) != len(PLACEHOLDER):
        raise ValueError("the simulator stamp is cut short")
    return int(text[:16], 16), int(text[16:], 16)
