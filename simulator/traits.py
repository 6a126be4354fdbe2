"""What kind of camera a simulated one is: codec, transport, login, manners and bad manners.

What belongs here: the traits, their values and their text form. What does not: acting them out (`sdp`, `rtsp_server`,
`http_server`, `camera`, `viewers` do, each its part); what goes wrong at a moment of a run (`faults`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from simulator.jpeg import JpegForm
from simulator.jpeg_packets import MAX_EDGE
from simulator.spec import CODECS, SpecError

SLOPPY = {
    "base": "Content-Base names a host that nobody reaches",
    "base-path": "Content-Base names a path that is answered 404; the URL itself would have been right",
    "no-base": "no Content-Base",
    "no-control": "no a=control lines: SETUP goes to the URL itself",
    "no-cseq": "answers carry no CSeq",
    "lf": "answers and descriptions end their lines with LF alone",
    "case": "header names in odd case, with spaces where they do not belong",
    "no-rtpinfo": "PLAY is answered without RTP-Info",
    "no-rtpmap": "the payload type is named without a=rtpmap (MJPEG: type 26 is known)",
    "no-transport-ports": "SETUP is answered without channels or ports",
    "junk": "over TCP, packets on channels that nobody set up; over HTTP, text before the first part and between parts",
    "junk-bytes": "over TCP, stray bytes between packets",
    "no-length": "HTTP parts without Content-Length",
    "lf-parts": "HTTP parts whose header lines end with LF alone",
    "chunked": "HTTP answers in chunks",
}
"""Bad manners, each of which some camera on the market has."""

_VALUES = {
    "codec": CODECS,
    "audio": ("none", "aac", "pcmu"),
    "sets": ("both", "stream", "sdp"),
    "transport": ("both", "tcp", "udp"),
    "scheme": ("rtsp", "rtsps", "http", "https"),
    "auth": ("auto", "none", "basic", "digest", "digest-qop", "digest-sha256", "digest-stale", "both"),
    "redirect": ("none", "path", "port", "tls", "plain", "loop"),
    "keepalive": ("any", "options", "get_parameter"),
    "start": ("join", "anywhere"),
    "boundary": ("plain", "quoted", "dashes", "odd"),
}


@dataclass(frozen=True, slots=True)
class Traits:
    """One camera's traits; the defaults are an ordinary H.264 camera."""

    codec: str = "h264"
    bframes: int = 0
    size: str = "640x360"
    fps: int = 10
    gop_s: float = 2.0
    audio: str = "none"
    """A second track beside the video."""
    sets: str = "both"
    """Where parameter sets are: in the stream, in the SDP, or both."""
    mtu: int = 1400
    """Largest RTP payload in bytes."""
    aggregate: bool = False
    """Small NAL units travel together."""
    pad_bytes: int = 0
    """Units are made about this large (H.264, H.265)."""
    marker: bool = True
    """Whether the last packet of a unit has the marker bit."""
    transport: str = "both"
    """What SETUP accepts; the other is answered 461."""
    scheme: str = "rtsp"
    auth: str = "auto"
    """auto: digest where the simulator has a login. both: basic and digest are offered."""
    redirect: str = "none"
    """Where the URL that is told leads first: another path, another port, TLS, away from TLS, to itself for ever."""
    keepalive: str = "any"
    """The only method that keeps a playing session alive, the others are answered 501; any: whatever comes does."""
    timeout_s: int = 60
    sloppy: str = ""
    """Bad manners (`SLOPPY`), joined with +."""
    jpeg_q: int = 255
    jpeg_type: int = 1
    restart: int = 0
    """JPEG's restart interval in MCUs."""
    boundary: str = "plain"
    """How HTTP names its boundary; dashes: two dashes too many in the header."""
    claims_fps: float = 0.0
    """The rate that the SDP names; 0: the real one."""
    onvif: bool = False
    """RTP header extension with the camera's time on the first packet of every unit."""
    clock_offset_s: float = 0.0
    drift_ppm: float = 0.0
    """By how much the camera's clock runs fast, in reports, header extension and RTP timestamps alike."""
    shake_px: float = 0.0
    """Scenes: how far the camera sways to each side, in pixels, root mean square; truth.json says where it points."""
    start: str = "join"
    other: str = ""
    """What faults resize and recode change to: size:WxH or codec:NAME, joined with +."""

    def __post_init__(self) -> None:
        for name, values in _VALUES.items():
            if getattr(self, name) not in values:
                raise SpecError(f"trait {name}={getattr(self, name)}: there are {', '.join(values)}")
        if unknown := self.manners - set(SLOPPY):
            raise SpecError(f"trait sloppy={'+'.join(sorted(unknown))}: there are {', '.join(SLOPPY)}")
        if self.is_http and self.codec != "mjpeg":
            raise SpecError(f"trait scheme={self.scheme}: HTTP serves codec=mjpeg only")
        edges = self.size.split("x")
        if len(edges) != 2 or not all(edge.isdecimal() for edge in edges):
            raise SpecError(f"trait size={self.size}: that is not WIDTHxHEIGHT, such as 640x360")
        if self.codec == "mjpeg" and not self.is_http and max(map(int, edges)) > MAX_EDGE:
            raise SpecError(f"trait size={self.size}: RTP carries JPEGs of {MAX_EDGE}x{MAX_EDGE} at most")
        if self.audio != "none" and ("no-control" in self.manners or self.is_http):
            raise SpecError(f"trait audio={self.audio}: two tracks need RTSP, and control lines to tell them apart")
        if not (1 <= self.jpeg_q <= 99 or 128 <= self.jpeg_q <= 255):
            raise SpecError(f"trait jpeg_q={self.jpeg_q}: take 1 to 99 or 128 to 255")
        if self.jpeg_type not in (0, 1) or not 0 <= self.restart <= 1000:
            raise SpecError(f"traits jpeg_type={self.jpeg_type}, restart={self.restart}: take 0 or 1, and 0 to 1000")
        if not 1 <= self.timeout_s <= 3600:
            raise SpecError(f"trait timeout_s={self.timeout_s}: take 1 to 3600")
        if abs(self.drift_ppm) > 100_000:
            raise SpecError(f"trait drift_ppm={self.drift_ppm:g}: take -100000 to 100000")
        self.changed()

    @property
    def is_http(self) -> bool:
        """Whether the camera is served over HTTP or HTTPS."""
        return self.scheme.startswith("http")

    @property
    def told_secure(self) -> bool:
        """Whether the URL that is told uses TLS."""
        return self.scheme.endswith("s") and self.redirect != "tls"

    @property
    def plays_secure(self) -> bool:
        """Whether pictures are had over TLS: where redirects lead."""
        return self.redirect == "tls" or (self.scheme.endswith("s") and self.redirect != "plain")

    @property
    def manners(self) -> frozenset[str]:
        """Its bad manners."""
        return frozenset(part for part in self.sloppy.split("+") if part and part != "none")

    @property
    def form(self) -> JpegForm:
        """How its JPEGs are coded."""
        return JpegForm(255 if self.is_http else self.jpeg_q, self.jpeg_type, self.restart)

    def changed(self) -> Traits | None:
        """The camera after fault resize or recode; None if it never changes. Raises SpecError."""
        if not self.other:
            return None
        wishes = dict(part.partition(":")[::2] for part in self.other.split("+"))
        if not wishes or set(wishes) - {"size", "codec"}:
            raise SpecError(f"trait other={self.other}: take size:WxH, codec:NAME, or both joined with +")
        after = replace(self, other="", size=wishes.get("size", self.size), codec=wishes.get("codec", self.codec))
        return replace(after, bframes=0) if after.codec == "mjpeg" else after

    def with_texts(self, texts: Mapping[str, str]) -> Traits:
        """These traits with others in their place, as they are written on a command line. Raises SpecError."""
        kinds = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        values: dict[str, object] = {}
        for name, text in texts.items():
            if name not in kinds:
                raise SpecError(f"trait {name} is unknown; there are {', '.join(kinds)}")
            try:
                values[name] = _YES_NO[text] if kinds[name] is bool else kinds[name](text)
            except (KeyError, ValueError):
                wanted = "yes or no" if kinds[name] is bool else f"of type {kinds[name].__name__}"
                raise SpecError(f"trait {name}={text} is not {wanted}") from None
        return Traits(**{**asdict(self), **values})


_YES_NO = {"yes": True, "no": False, "": True}


def parse(text: str) -> dict[str, str]:
    """Reads `NAME=VALUE,NAME=VALUE`; a name alone means yes. Raises SpecError."""
    found: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = part.partition("=")
        if name in found:
            raise SpecError(f"trait {name} is given twice in {text!r}")
        found[name.strip()] = value.strip()
    return found
