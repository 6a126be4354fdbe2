"""Sample entries: how the pictures of a track are coded, as MP4 says it.

What belongs here: `avc1` with avcC (H.264), `hev1` with hvcC (H.265), `mp4v` with esds (Motion JPEG), made from what an
epoch tells of itself. What does not: the boxes around them (`boxes`) and the samples' own bytes (`samples`).

Parameter sets stand here and in the samples too, as they came; that is what `hev1` says of H.265. Of H.264 `avc3` would
say it, which players know less well than `avc1`, and none minds the repetition.
"""

from __future__ import annotations

import struct

from media_center.boxes import START_CODE, Picture, box, full_box
from trueframe.v1 import frames_pb2

_PROFILES_WITH_CHROMA = frozenset({100, 110, 118, 122, 128, 138, 139, 134, 135, 144, 244, 44, 83, 86})
_VPS, _SPS, _PPS = 32, 33, 34
_OBJECT_TYPE_JPEG = 0x6C
_VISUAL_STREAM = 0x04 << 2 | 1
_BRANDS: dict[int, bytes] = {frames_pb2.CODEC_H264: b"avc1", frames_pb2.CODEC_H265: b"hev1"}


def sample_entry(picture: Picture) -> bytes:
    """The sample entry for pictures of a codec. Raises ValueError for a codec that is none of ours."""
    if picture.codec == frames_pb2.CODEC_H264:
        return _visual(b"avc1", picture, avc_configuration(picture.parameter_sets))
    if picture.codec == frames_pb2.CODEC_H265:
        return _visual(b"hev1", picture, hevc_configuration(picture.parameter_sets))
    if picture.codec == frames_pb2.CODEC_MJPEG:
        return _visual(b"mp4v", picture, _jpeg_descriptor())
    raise ValueError(f"codec {picture.codec}")


def brand_of(codec: int) -> bytes:
    """The brand that a file of a codec is compatible with."""
    return _BRANDS.get(codec, b"mp41")


def _visual(kind: bytes, picture: Picture, configuration: bytes) -> bytes:
    visual = struct.pack(
        ">6xH16xHHIIIH32sHh", 1, min(picture.width, 0xFFFF), min(picture.height, 0xFFFF), 0x480000, 0x480000, 0, 1,
        b"\x09trueframe", 24, -1,
    )  # fmt: skip
    return box(kind, visual, configuration)


class _Bits:
    """Reads unsigned Exp-Golomb numbers from an RBSP; past its end it reads zeros and then gives up with 0."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        if count > self._left:
            self._left = 0
            return 0
        self._left -= count
        return self._bits >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while self._left and not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros) if zeros < 32 else 0


def _units(parameter_sets: bytes) -> list[bytes]:
    return [unit for unit in parameter_sets.split(START_CODE) if 2 < len(unit) < 1 << 16]


def _without_escapes(nal: bytes) -> bytes:
    """The head of a NAL unit without its emulation prevention bytes."""
    return nal[:256].replace(b"\0\0\3", b"\0\0")


# ---- H.264 (ISO/IEC 14496-15 5.3.3.1)


def _chroma_of(sps: bytes) -> tuple[int, int, int]:
    """chroma_format_idc, bit_depth_luma_minus8 and bit_depth_chroma_minus8 of a High-family SPS."""
    bits = _Bits(_without_escapes(sps)[4:24])
    bits.golomb()  # seq_parameter_set_id
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    return chroma & 3, bits.golomb() & 7, bits.golomb() & 7


def avc_configuration(parameter_sets: bytes) -> bytes:
    """The `avcC` box for SPS and PPS in canonical form; without any, one that leaves them to the samples."""
    units = _units(parameter_sets)
    sps = [unit for unit in units if unit[0] & 0x1F == 7 and len(unit) >= 4][:31]
    pps = [unit for unit in units if unit[0] & 0x1F == 8][:255]
    profile = sps[0][1:4] if sps else b"\x42\x00\x1e"
    parts = [b"\x01", profile, b"\xff", bytes([0xE0 | len(sps)])]
    parts += [struct.pack(">H", len(unit)) + unit for unit in sps]
    parts.append(bytes([len(pps)]))
    parts += [struct.pack(">H", len(unit)) + unit for unit in pps]
    if sps and profile[0] in _PROFILES_WITH_CHROMA:
        chroma, luma_depth, chroma_depth = _chroma_of(sps[0])
        parts.append(bytes([0xFC | chroma, 0xF8 | luma_depth, 0xF8 | chroma_depth, 0]))
    return box(b"avcC", *parts)


# ---- H.265 (ISO/IEC 14496-15 8.3.3.1)

_MAIN_PROFILE = bytes.fromhex("01 60000000 900000000000 5d")
"""General profile, tier and level (12 bytes) of 8-bit 4:2:0 at level 3.1: what is said without an SPS."""


def _hevc_sps(sps: bytes) -> tuple[bytes, int, int, int, int, int]:
    """General profile, tier, level; sub-layers; nesting; chroma_format_idc; both bit depths minus 8."""
    data = _without_escapes(sps)[2:]
    if len(data) < 13:
        return _MAIN_PROFILE, 1, 1, 1, 0, 0
    sub_layers, nests = (data[0] >> 1 & 7) + 1, data[0] & 1
    bits = _Bits(data[13:])
    present = [bits.take(2) for _ in range(sub_layers - 1)]
    if present:
        bits.take(2 * (8 - len(present)))
    for has_profile_and_level in present:
        bits.take(88 * (has_profile_and_level >> 1) + 8 * (has_profile_and_level & 1))
    bits.golomb()  # sps_seq_parameter_set_id
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.golomb(), bits.golomb()  # width and height
    if bits.take(1):
        for _ in range(4):
            bits.golomb()
    return data[1:13], sub_layers, nests, chroma & 3, bits.golomb() & 7, bits.golomb() & 7


def hevc_configuration(parameter_sets: bytes) -> bytes:
    """The `hvcC` box for VPS, SPS and PPS in canonical form; without any, one that leaves them to the samples."""
    units = _units(parameter_sets)
    arrays = [(kind, [unit for unit in units if unit[0] >> 1 & 0x3F == kind][:64]) for kind in (_VPS, _SPS, _PPS)]
    sps = dict(arrays)[_SPS]
    profile, sub_layers, nests, chroma, luma_depth, chroma_depth = _hevc_sps(sps[0] if sps else b"")
    present = [(kind, found) for kind, found in arrays if found]
    head = struct.pack(
        ">B12sHBBBBHBB", 1, profile, 0xF000, 0xFC, 0xFC | chroma, 0xF8 | luma_depth, 0xF8 | chroma_depth, 0,
        sub_layers << 3 | nests << 2 | 3, len(present),
    )  # fmt: skip
    parts = [head]
    for kind, found in present:
        # Not "complete": others may come in the samples.
        parts.append(struct.pack(">BH", kind, len(found)))
        parts += [struct.pack(">H", len(unit)) + unit for unit in found]
    return box(b"hvcC", *parts)


# ---- Motion JPEG (ISO/IEC 14496-1 7.2.6, 14496-14 5.6)


def _descriptor(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([tag, 0x80, 0x80, 0x80, len(body)]) + body


def _jpeg_descriptor() -> bytes:
    """The `esds` box that says: each sample is a JPEG file."""
    decoder = _descriptor(0x04, struct.pack(">BB3sII", _OBJECT_TYPE_JPEG, _VISUAL_STREAM, bytes(3), 0, 0))
    return full_box(b"esds", 0, 0, _descriptor(0x03, struct.pack(">HB", 1, 0), decoder, _descriptor(0x06, b"\x02")))
