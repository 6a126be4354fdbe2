"""A tone beside the pictures: audio packets for those who set the second track up.

What belongs here: the coded tone (PCMU by RFC 3551, AAC by RFC 3640), its lines in the SDP and its pace. What does not:
how bytes leave (`viewers`). Audio is not logged: nobody claims to hand it on.
"""

from __future__ import annotations

import functools
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

TONE_HZ = 440


@dataclass(frozen=True, slots=True)
class Audio:
    """A loop of audio."""

    name: str
    payload_type: int
    rate_hz: int
    samples: int
    """Per packet."""
    payloads: tuple[bytes, ...]
    config: str = ""
    """AAC's AudioSpecificConfig in hexadecimal."""

    @property
    def packet_s(self) -> float:
        """How long a packet lasts."""
        return self.samples / self.rate_hz

    def lines(self) -> list[str]:
        """Its lines in the SDP, without a=control."""
        kind = self.payload_type
        if self.name == "pcmu":
            return [f"m=audio 0 RTP/AVP {kind}", f"a=rtpmap:{kind} PCMU/{self.rate_hz}"]
        return [
            f"m=audio 0 RTP/AVP {kind}",
            f"a=rtpmap:{kind} mpeg4-generic/{self.rate_hz}/1",
            f"a=fmtp:{kind} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
            f"indexdeltalength=3;config={self.config}",
        ]


@functools.cache
def tone(name: str) -> Audio | None:
    """The tone as `pcmu` or `aac`; None for `none`."""
    if name == "none":
        return None
    return _pcmu() if name == "pcmu" else _aac()


def _pcmu() -> Audio:
    samples = np.sin(np.arange(8000) * 2 * np.pi * TONE_HZ / 8000) * 8000
    # G.711: a sign bit, three bits of segment, four of step, all inverted.
    size = np.minimum(np.abs(samples).astype(np.int64) + 132, 32767)
    segment = np.floor(np.log2(size)).astype(np.int64) - 7
    codes = ~(((samples < 0) << 7) | segment << 4 | (size >> segment + 3 & 15)) & 0xFF
    data = codes.astype(np.uint8).tobytes()
    return Audio("pcmu", 0, 8000, 160, tuple(data[at : at + 160] for at in range(0, len(data), 160)))


def _aac(rate_hz: int = 16_000) -> Audio:
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate_hz, "mono", "fltp"
    encoder.time_base = Fraction(1, rate_hz)
    samples = (np.sin(np.arange(64 * 1024) * 2 * np.pi * TONE_HZ / rate_hz) / 4).astype(np.float32)
    coded: list[bytes] = []
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, encoder.time_base
        coded += [bytes(packet) for packet in encoder.encode(frame)]
    # One header of 16 bits says that one access unit of so many bytes follows.
    payloads = tuple(struct.pack(">HH", 16, len(unit) << 3) + unit for unit in coded)
    return Audio("aac", 97, rate_hz, 1024, payloads, bytes(encoder.extradata or b"").hex())


class AudioSource:
    """Numbers a viewer's audio packets."""

    def __init__(self, audio: Audio) -> None:
        self.audio = audio
        self.ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(16)
        self._timestamp = secrets.randbits(32)
        self._at = 0

    def next(self) -> bytes:
        """The next RTP packet."""
        payloads: Sequence[bytes] = self.audio.payloads
        head = struct.pack(">BBHII", 0x80, 0x80 | self.audio.payload_type, self._sequence, self._timestamp, self.ssrc)
        packet = head + payloads[self._at % len(payloads)]
        self._at += 1
        self._sequence = self._sequence + 1 & 0xFFFF
        self._timestamp = self._timestamp + self.audio.samples & 0xFFFFFFFF
        return packet
