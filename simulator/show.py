"""A clip with its units cut into packets, as a camera of certain traits sends it.

What belongs here: how traits and codec decide a unit's bytes on the wire and its canonical payload. What does not: pace
and faults (`camera`), the packets' layout (`packets`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from simulator import bitstream, jpeg, jpeg_packets, packetise, sdp, sei
from simulator.clip import Clip, ClipUnit
from simulator.packets import UnitPackets
from simulator.traits import Traits

_CLEAN = 0x80
"""A unit that a decoder may begin with, in the header extension."""


class Sendable(Protocol):
    """What all units can do: give the payload that a receiver should end up with, and its digest."""

    @property
    def count(self) -> int:
        """RTP packets, or parts."""

    def canonical(self, number: int, sent_ns: int) -> bytes:
        """The canonical payload with this stamp."""

    def digest(self, number: int, sent_ns: int) -> bytes:
        """SHA-256 of `canonical(number, sent_ns)`."""


class Whole:
    """A JPEG that is sent as it is, over HTTP."""

    count = 1

    def __init__(self, whole: bytes) -> None:
        self._head, _, self._tail = whole.partition(sei.PLACEHOLDER)

    def canonical(self, number: int, sent_ns: int) -> bytes:
        """The JPEG with this stamp."""
        return b"%b%016x%016x%b" % (self._head, number, sent_ns, self._tail)

    def digest(self, number: int, sent_ns: int) -> bytes:
        """SHA-256 of `canonical(number, sent_ns)`, 32 bytes."""
        return hashlib.sha256(self.canonical(number, sent_ns)).digest()


@dataclass(frozen=True, slots=True)
class Show:
    """A clip and its units, ready to be sent; shared by all cameras of equal traits that show it."""

    clip: Clip
    units: tuple[Sendable, ...]

    @classmethod
    def of(cls, clip: Clip, traits: Traits) -> Show:
        """Cuts every unit of the clip. Raises ValueError for what cannot be sent."""
        if clip.codec != "mjpeg":
            return cls(clip, tuple(_coded(clip, unit, traits) for unit in clip.units))
        make = _part if traits.is_http else _scan
        return cls(clip, tuple(make(clip, unit, index, traits) for index, unit in enumerate(clip.units)))


def _coded(clip: Clip, unit: ClipUnit, traits: Traits) -> UnitPackets:
    syntax = bitstream.of(clip.codec)
    sent: Sequence[bytes] = unit.nals
    if traits.sets == "sdp":
        sent = syntax.without_sets(sent)
    sent = syntax.padded(syntax.with_stamp(sent), traits.pad_bytes)
    # Where sets come in the SDP only, a receiver puts them before join points: that is the unit's canonical form.
    whole = syntax.with_parameter_sets(sent, clip.parameter_sets) if traits.sets == "sdp" and unit.joins else sent
    return UnitPackets(
        packetise.payloads(clip.codec, sent, traits.mtu, traits.aggregate),
        bitstream.canonical(whole),
        sei.PLACEHOLDER,
        sdp.payload_type(clip.codec),
        marker=traits.marker,
        extension=traits.onvif,
        flags=_CLEAN if unit.joins else 0,
    )


def _scan(clip: Clip, unit: ClipUnit, index: int, traits: Traits) -> UnitPackets:
    form, tables = clip.form, clip.form.tables()
    (scan,) = unit.nals
    width, height = jpeg_packets.told(clip.width), jpeg_packets.told(clip.height)
    sent = b"".join(tables) if form.has_tables(index) else None
    return UnitPackets(
        jpeg_packets.payloads(scan, sent, form, width, height, traits.mtu),
        jpeg.file(scan, tables, form, width, height),
        sei.PLACEHOLDER if form.is_stamped else b"",
        sdp.payload_type(clip.codec),
        marker=traits.marker,
        extension=traits.onvif,
        flags=_CLEAN if unit.joins else 0,
    )


def _part(clip: Clip, unit: ClipUnit, index: int, traits: Traits) -> Whole:
    (scan,) = unit.nals
    return Whole(jpeg.file(scan, clip.form.tables(), clip.form, clip.width, clip.height))
