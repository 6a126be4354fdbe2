"""What is asked of a scene: the parameters that decide every pixel and every byte of its clip.

What belongs here: the values, their limits and their text form. Equal specs give equal clips, so their hash names a
clip in the cache.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.jpeg import ORDINARY, JpegForm

CODECS = ("h264", "h265", "mjpeg")
INCIDENT_KINDS = (
    "intrusion", "running", "freeze", "signal-lost", "silence",
    "left-object", "crowd", "fall", "wrong-way", "loitering",
    "blur", "cover", "dark", "glare", "noise", "bump", "turn-away", "shake",
)  # fmt: skip
_INCIDENT = re.compile(r"^(?P<kind>[a-z-]+)@(?P<start>\d+(\.\d+)?)(\+(?P<length>\d+(\.\d+)?))?$")


class SpecError(ValueError):
    """A parameter nobody can serve; the message names it, its limits and the remedy."""


@dataclass(frozen=True, slots=True)
class IncidentSpec:
    """An incident asked for: what, and when inside the loop, in seconds."""

    kind: str
    start_s: float
    length_s: float

    @classmethod
    def parse(cls, text: str) -> IncidentSpec:
        """Reads `KIND@START` or `KIND@START+LENGTH`, in seconds. Raises SpecError."""
        match = _INCIDENT.match(text)
        if not match or match["kind"] not in INCIDENT_KINDS:
            raise SpecError(
                f"incident {text!r} is not KIND@START+LENGTH in seconds, such as intrusion@16+8; "
                f"kinds are {', '.join(INCIDENT_KINDS)}"
            )
        return cls(match["kind"], float(match["start"]), float(match["length"] or 8.0))


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """One scene's parameters."""

    layout: str
    seed: int = 1
    width: int = 640
    height: int = 360
    fps: int = 10
    loop_s: float = 60.0
    gop_s: float = 2.0
    bframes: int = 0
    delimiters: bool = False
    incidents: tuple[IncidentSpec, ...] | None = None
    """None: those that belong to the layout."""
    codec: str = "h264"
    form: JpegForm = ORDINARY
    """Of MJPEG."""
    shake_px: float = 0.0
    """Root mean square of how far the camera sways to each side, in pixels of its picture."""

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise SpecError(f"codec {self.codec!r} is unknown; there are {', '.join(CODECS)}")
        if self.width % 2 or self.height % 2 or not (128 <= self.width <= 4096 and 72 <= self.height <= 2304):
            raise SpecError(f"size {self.width}x{self.height}: take even numbers from 128x72 to 4096x2304")
        if not 1 <= self.fps <= 60:
            raise SpecError(f"{self.fps} frames a second: take 1 to 60")
        if not 1 <= self.frames <= 100_000:
            raise SpecError(
                f"a loop of {self.loop_s} s at {self.fps} frames a second has {self.frames} frames; take 1 to 100000"
            )
        late = [incident for incident in self.incidents or () if incident.start_s >= self.loop_s]
        if late:
            raise SpecError(
                f"{late[0].kind} begins at {late[0].start_s:g} s, but the loop ends at {self.loop_s:g} s; "
                "take an earlier start or a longer --loop-s"
            )
        if not 0 <= self.bframes <= 4:
            raise SpecError(f"{self.bframes} B-frames in a row: take 0 to 4")
        if not 0.0 <= self.shake_px <= self.width / 40:
            raise SpecError(f"shake_px {self.shake_px:g}: take 0 to {self.width / 40:g}, a fortieth of the width")
        if self.codec == "mjpeg" and self.bframes:
            raise SpecError("MJPEG has no B-frames; take bframes=0")

    @property
    def frames(self) -> int:
        """Frames in a loop."""
        return round(self.loop_s * self.fps)

    @property
    def gop_frames(self) -> int:
        """Frames from one IDR picture to the next."""
        return max(1, round(self.gop_s * self.fps))

    def key(self) -> str:
        """Names the clip of this spec, rendered by the code as it stands."""
        text = json.dumps(asdict(self), sort_keys=True) + _code_hash()
        return f"{self.layout}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


_DECIDES = ("counter.py", "encode.py", "jpeg.py", "jpeg_scan.pyx", "spec.py")


def _code_hash() -> str:
    """Changes whenever the code that draws or codes changes, so that a stale clip is never served."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted([*folder.glob("scene/*.py*"), *(folder / name for name in _DECIDES)]):
        if path.suffix in (".py", ".pyx"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
