"""A simulated ONVIF device: what it is, and what it answers to which question. No sockets.

What belongs here: the values and the XML of device, media and media 2 services, as far as a client asks them to find a
stream. What does not: HTTP and logins (`onvif`), being found (`onvif_discovery`).
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_ERROR = "http://www.onvif.org/ver10/error"
_NAMESPACES = (
    f'xmlns:s="{ENVELOPE}" xmlns:tds="{DEVICE}" xmlns:trt="{MEDIA}" xmlns:tr2="{MEDIA2}" xmlns:tt="{_SCHEMA}"'
    f' xmlns:ter="{_ERROR}"'
)
# Media 1 knows these only; others are seen by media 2.
_MEDIA1_ENCODINGS = {"h264": "H264", "mjpeg": "JPEG"}
_MEDIA2_ENCODINGS = {"h264": "H264", "h265": "H265", "mjpeg": "JPEG"}
# The standard lets anybody ask these.
PRE_AUTH = frozenset({"GetSystemDateAndTime", "GetServices", "GetCapabilities", "GetServiceCapabilities"})


@dataclass(frozen=True, slots=True)
class VideoProfile:
    """One stream of a device. `codec`: h264, h265 or mjpeg; `snapshot` may be empty."""

    token: str
    name: str
    url: str
    codec: str = "h264"
    width: int = 640
    height: int = 360
    frame_rate: float = 10
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """One device. `told_host`: the host and port in the addresses that it tells, if not those it was asked at."""

    id: str
    name: str
    profiles: tuple[VideoProfile, ...]
    manufacturer: str = "trueframe"
    model: str = "Simulated camera"
    location: str = "Simulator"
    clock_offset_s: float = 0.0
    has_media2: bool = True
    has_services: bool = True
    told_host: str = ""
    urn: str = field(default="")

    def __post_init__(self) -> None:
        if not self.urn:
            object.__setattr__(self, "urn", f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'trueframe/' + self.id)}")

    def utc_s(self) -> float:
        """Its own time."""
        return time.time() + self.clock_offset_s

    def answer(self, namespace: str, question: str, argument: str, base: str) -> str | None:
        """The body of an answer, None for a question it does not know. `base`: where its services are."""
        if self.told_host:
            scheme, _, rest = base.partition("://")
            base = f"{scheme}://{self.told_host}{rest[rest.index('/') :]}"
        if namespace == DEVICE:
            return self._about_device(question, base)
        if namespace == MEDIA:
            return self._about_media(question, argument)
        if namespace == MEDIA2 and self.has_media2:
            return self._about_media2(question, argument)
        return None

    def _about_device(self, question: str, base: str) -> str | None:
        if question == "GetSystemDateAndTime":
            return _wrapped("tds", question, f"<tds:SystemDateAndTime>{_date(self.utc_s())}</tds:SystemDateAndTime>")
        if question == "GetDeviceInformation":
            return _wrapped(
                "tds",
                question,
                f"<tds:Manufacturer>{escape(self.manufacturer)}</tds:Manufacturer><tds:Model>{escape(self.model)}"
                "</tds:Model><tds:FirmwareVersion>1.0</tds:FirmwareVersion>"
                f"<tds:SerialNumber>{escape(self.id)}</tds:SerialNumber><tds:HardwareId>sim</tds:HardwareId>",
            )
        if question == "GetServices" and self.has_services:
            services = [(DEVICE, "device_service"), (MEDIA, "media_service")]
            services += [(MEDIA2, "media2_service")] if self.has_media2 else []
            return _wrapped(
                "tds",
                question,
                "".join(
                    f"<tds:Service><tds:Namespace>{namespace}</tds:Namespace><tds:XAddr>{base}/{path}</tds:XAddr>"
                    "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
                    for namespace, path in services
                ),
            )
        if question == "GetCapabilities":
            return _wrapped(
                "tds",
                question,
                f"<tds:Capabilities><tt:Device><tt:XAddr>{base}/device_service</tt:XAddr></tt:Device>"
                f"<tt:Media><tt:XAddr>{base}/media_service</tt:XAddr><tt:StreamingCapabilities>"
                "<tt:RTPMulticast>false</tt:RTPMulticast><tt:RTP_TCP>true</tt:RTP_TCP>"
                "<tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities></tt:Media></tds:Capabilities>",
            )
        return None

    def _about_media(self, question: str, token: str) -> str | None:
        if question == "GetProfiles":
            profiles = [p for p in self.profiles if p.codec in _MEDIA1_ENCODINGS]
            return _wrapped("trt", question, "".join(map(_profile1, profiles)))
        profile = self._profile(token)
        if profile is None:
            return None
        if question == "GetStreamUri":
            return _wrapped("trt", question, _media_uri(profile.url))
        if question == "GetSnapshotUri" and profile.snapshot:
            return _wrapped("trt", question, _media_uri(profile.snapshot))
        return None

    def _about_media2(self, question: str, token: str) -> str | None:
        if question == "GetProfiles":
            return _wrapped("tr2", question, "".join(map(_profile2, self.profiles)))
        profile = self._profile(token)
        if profile is None:
            return None
        if question == "GetStreamUri":
            return _wrapped("tr2", question, f"<tr2:Uri>{escape(profile.url)}</tr2:Uri>")
        if question == "GetSnapshotUri" and profile.snapshot:
            return _wrapped("tr2", question, f"<tr2:Uri>{escape(profile.snapshot)}</tr2:Uri>")
        return None

    def _profile(self, token: str) -> VideoProfile | None:
        return next((profile for profile in self.profiles if profile.token == token), None)


def message(body: str) -> bytes:
    """A SOAP message with this body."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope {_NAMESPACES}><s:Body>{body}</s:Body></s:Envelope>'
    return text.encode()


def fault(code: str, subcode: str, text: str) -> bytes:
    """A SOAP fault: `code` Sender or Receiver, `subcode` an ONVIF error."""
    return message(
        f"<s:Fault><s:Code><s:Value>s:{code}</s:Value><s:Subcode><s:Value>ter:{subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en">{escape(text)}</s:Text></s:Reason></s:Fault>'
    )


def _wrapped(prefix: str, question: str, content: str) -> str:
    return f"<{prefix}:{question}Response>{content}</{prefix}:{question}Response>"


def _date(utc_s: float) -> str:
    now = datetime.fromtimestamp(utc_s, UTC)
    return (
        "<tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
        "<tt:TimeZone><tt:TZ>UTC0</tt:TZ></tt:TimeZone><tt:UTCDateTime>"
        f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
        f"<tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>"
        f"<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date></tt:UTCDateTime>"
    )


def _media_uri(url: str) -> str:
    return (
        f"<trt:MediaUri><tt:Uri>{escape(url)}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
        "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
    )


def _resolution(profile: VideoProfile) -> str:
    return f"<tt:Resolution><tt:Width>{profile.width}</tt:Width><tt:Height>{profile.height}</tt:Height></tt:Resolution>"


def _profile1(profile: VideoProfile) -> str:
    return (
        f'<trt:Profiles token={quoteattr(profile.token)} fixed="true"><tt:Name>{escape(profile.name)}</tt:Name>'
        f"<tt:VideoEncoderConfiguration token={quoteattr('encoder-' + profile.token)}><tt:Name>encoder</tt:Name>"
        f"<tt:UseCount>1</tt:UseCount><tt:Encoding>{_MEDIA1_ENCODINGS[profile.codec]}</tt:Encoding>"
        f"{_resolution(profile)}<tt:Quality>5</tt:Quality><tt:RateControl>"
        f"<tt:FrameRateLimit>{profile.frame_rate:.0f}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>"
        "<tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl><tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type>"
        "<tt:IPv4Address>239.1.1.1</tt:IPv4Address></tt:Address><tt:Port>0</tt:Port><tt:TTL>1</tt:TTL>"
        "<tt:AutoStart>false</tt:AutoStart></tt:Multicast><tt:SessionTimeout>PT60S</tt:SessionTimeout>"
        "</tt:VideoEncoderConfiguration></trt:Profiles>"
    )


def _profile2(profile: VideoProfile) -> str:
    return (
        f'<tr2:Profiles token={quoteattr(profile.token)} fixed="true"><tr2:Name>{escape(profile.name)}</tr2:Name>'
        f"<tr2:Configurations><tr2:VideoEncoder token={quoteattr('encoder-' + profile.token)}>"
        f"<tt:Name>encoder</tt:Name><tt:UseCount>1</tt:UseCount>"
        f"<tt:Encoding>{_MEDIA2_ENCODINGS[profile.codec]}</tt:Encoding>{_resolution(profile)}"
        f"<tt:RateControl><tt:FrameRateLimit>{profile.frame_rate:g}</tt:FrameRateLimit>"
        "<tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl><tt:Quality>5</tt:Quality>"
        "</tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>"
    )
