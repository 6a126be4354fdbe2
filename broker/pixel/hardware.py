"""Decoding on an NVIDIA GPU, for codecs in which it was seen to give the very bytes that software gives.

Here: whether hardware is used at all, and why not. `python -m broker.pixel.hardware` is the check: it decodes clips
that it makes itself by both and compares the planes bit for bit. It runs in a process of its own, once, when the host
starts: a driver that crashes or hangs must not take the host with it. Not here: decoding (decode.py).

The GPU's engine (NVDEC, by the CUVID interface) is used beneath libavcodec's own H.264 and H.265 decoders: parsing,
order of pictures, marks of damage are the same code either way, and a stream that the engine cannot do is decoded in
software without a word to anybody else. Motion JPEG stays in software: its transform is not bit-exact by definition.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import numpy as np
from av.codec.hwaccel import HWAccel
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from mesh.logs import get_logger
from trueframe.v1 import frames_pb2

log = get_logger("broker.pixel.hardware")

SETTINGS = ("software", "auto", "cuvid")
CODECS: Mapping[int, str] = MappingProxyType({frames_pb2.CODEC_H264: "h264", frames_pb2.CODEC_H265: "hevc"})
_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_CHECK_WITHIN_S = 60.0
_DEVICES = ("dev/nvidiactl", "dev/dxg")
# Of no whole macroblocks, so that cropping is compared too.
_CLIP_PICTURES, _CLIP_SIZE = 40, (350, 202)


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the GPU may decode, by libavcodec's name; of each other codec, why not."""

    codecs: frozenset[str] = frozenset()
    refusals: Mapping[str, str] = field(default_factory=dict)
    is_asked_for: bool = False
    """Whether the setting names hardware: then its absence is a problem to be told."""

    def refusal(self, name: str) -> str:
        """Why a codec is decoded in software; "" if it need not be, or nobody asked."""
        return self.refusals.get(name, "")


SOFTWARE = Hardware()


def accelerator() -> HWAccel:
    """A device for one decoder. All share the GPU's primary context: one of its own would cost each hundreds of MB."""
    return HWAccel("cuda", allow_software_fallback=True, options={"primary_ctx": "1"})


def choose_hardware(setting: str, root: Path = Path("/")) -> Hardware:
    """What `pixels.decoder` comes to on this machine. Blocks while the check runs; whatever the GPU does, no error."""
    if setting == "software":
        return SOFTWARE
    if not any((root / device).exists() for device in _DEVICES):
        return _refused(setting, "no NVIDIA device on this machine")
    return check_in_a_child(setting)


def check_in_a_child(setting: str) -> Hardware:
    """Runs the check and takes its word."""
    command = [sys.executable, "-m", "broker.pixel.hardware"]
    try:
        child = subprocess.run(command, capture_output=True, timeout=_CHECK_WITHIN_S, check=False, cwd=_tree())
        if child.returncode:
            return _refused(setting, f"the check of the GPU ended with status {child.returncode}")
        refusals = {str(name): str(reason) for name, reason in json.loads(child.stdout).items()}
    except subprocess.TimeoutExpired:
        return _refused(setting, f"the check of the GPU did not end within {_CHECK_WITHIN_S:.0f} s")
    except (OSError, ValueError, AttributeError) as error:
        return _refused(setting, f"the check of the GPU said nothing of use ({type(error).__name__})")
    usable = frozenset(name for name in CODECS.values() if refusals.get(name) == "")
    hardware = Hardware(usable, {name: why for name, why in refusals.items() if why}, setting == "cuvid")
    log.info("hardware decoding", usable=",".join(sorted(usable)) or "none", refused=dict(hardware.refusals))
    return hardware


def _tree() -> Path:
    return Path(__file__).resolve().parents[2]


def _refused(setting: str, reason: str) -> Hardware:
    if setting == "cuvid":
        log.warning("no hardware decoding", reason=reason)
    return Hardware(frozenset(), dict.fromkeys(CODECS.values(), reason), setting == "cuvid")


# --- the check


@dataclass(frozen=True, slots=True)
class _ClipUnit:
    seq: int
    payload: bytes
    join_point: int
    recovers_after: int = 0
    damaged: bool = False
    follows_damage: bool = False
    received_ns: int = 0
    monotonic_ns: int = 0


def clip(name: str) -> list[_ClipUnit]:
    """A short film of noise that moves, with B-frames, several references and changing quality. Raises FFmpegError."""
    width, height = _CLIP_SIZE
    encoder: VideoCodecContext = VideoCodecContext.create(_ENCODERS[name], "w")  # type: ignore[assignment]
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    parameters = "keyint=15:min-keyint=15:scenecut=0:bframes=2:ref=3:open-gop=0:crf=24"
    encoder.options = {"preset": "medium", "x264-params": parameters + ":force-cfr=1"}
    if name == "hevc":
        encoder.options = {"preset": "fast", "x265-params": parameters + ":log-level=none:repeat-headers=1"}
    packets = [packet for frame in _pictures(width, height) for packet in encoder.encode(frame)] + encoder.encode(None)
    return [
        _ClipUnit(
            seq,
            (bytes(encoder.extradata or b"") if packet.is_keyframe and name == "h264" else b"") + bytes(packet),
            frames_pb2.JOIN_POINT_EXACT if packet.is_keyframe else frames_pb2.JOIN_POINT_NONE,
        )
        for seq, packet in enumerate(packets)
    ]


def _pictures(width: int, height: int) -> Iterator[VideoFrame]:
    rng = np.random.default_rng(7)
    ground = rng.integers(0, 256, (height * 3 // 2 + 2 * _CLIP_PICTURES, width + 3 * _CLIP_PICTURES), np.uint8)
    ground = (ground // 4 + 96 + 40 * np.sin(np.arange(ground.shape[1]) / 17)).astype(np.uint8)
    for number in range(_CLIP_PICTURES):
        planes = np.ascontiguousarray(ground[2 * number :, 3 * number :][: height * 3 // 2, :width])
        planes[20 + number : 60 + number, 3 * number : 3 * number + 48] = 16 + 5 * number
        frame = VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        yield frame


def _decoded(codec: int, units: list[_ClipUnit], *, on_hardware: bool) -> Iterator[tuple[int, bool, int, bytes]]:
    from broker.pixel.decode import Decoded, StreamDecoder  # it imports this module
    from broker.pixel.planes import planes_of

    decoder = StreamDecoder(codec, -1, on_hardware=on_hardware)
    outcomes = [outcome for unit in units for outcome in decoder.feed(unit)] + decoder.flush()
    if on_hardware and not decoder.ran_on_hardware:
        raise RuntimeError("the GPU's decoder was not used")
    for outcome in outcomes:
        if isinstance(outcome, Decoded):
            planes = planes_of(outcome.frame)
            yield outcome.seq, outcome.inexact, planes.flags, planes.packed(b"", planes.width, planes.height)
        else:
            yield outcome.first, True, -1, b""


def compare(codec: int) -> str:
    """Why the GPU is not used for a codec; "" if all it gave was equal."""
    try:
        units = clip(CODECS[codec])
    except (FFmpegError, OSError, ValueError) as error:
        return f"no clip to check it with could be made ({error})"
    try:
        pairs = list(
            zip(_decoded(codec, units, on_hardware=False), _decoded(codec, units, on_hardware=True), strict=True)
        )
    except (FFmpegError, OSError, ValueError, RuntimeError) as error:
        return f"it does not work here ({error})"
    if len(pairs) != len(units):
        return f"of {len(units)} pictures of the check {len(pairs)} came out"
    for software, hardware in pairs:
        if software != hardware:
            return f"picture {software[0]} of the check differs from that of the software decoder"
    return ""


def main() -> None:
    """Prints a JSON object: of each codec, why it is not decoded by the GPU, or ""."""
    with contextlib.suppress(OSError):
        os.nice(5)
    print(json.dumps({name: compare(codec) for codec, name in CODECS.items()}))


if __name__ == "__main__":
    main()
