"""One ONVIF device asked: who it is, what time it has, and how it gives video.

Belongs here: the questions in their order, and what the answers mean. Does not belong here: HTTP (`http`), envelopes
(`soap`), finding devices (`wsd`).

The time is asked first and without credentials, as the standard allows: a device takes a login whose time is not its
own for an old one. Then HTTP digest where the device challenges, and a WS-UsernameToken by its own clock in any case.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from broker.discovery import soap
from broker.discovery.addresses import HttpAddress, reachable
from broker.discovery.errors import DeviceUnauthorised, NotADevice
from broker.discovery.http import DeviceHttp, unauthorised
from broker.discovery.xmltree import Element, MalformedXml, escaped, parse_xml
from broker.rtsp.auth import Credentials
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG, CODEC_UNSPECIFIED, Codec

_T = TypeVar("_T")

_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_MAX_PROFILES = 64
_REMEDY = "Give the address of its ONVIF device service; most devices have ONVIF switched off or on another port."
_CODECS: dict[str, Codec.ValueType] = {
    "H264": CODEC_H264,
    "H265": CODEC_H265,
    "HEVC": CODEC_H265,
    "JPEG": CODEC_MJPEG,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """One way in which a device gives video. URLs hold no credentials."""

    token: str
    name: str
    codec: Codec.ValueType = CODEC_UNSPECIFIED
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    source: str = ""
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """What a device said. `clock_offset_ns`: its clock minus this host's; None if it does not tell."""

    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    profiles: tuple[Profile, ...] = ()
    clock_offset_ns: int | None = None


@dataclass(slots=True)
class OnvifDevice:
    """Asks one device. `timeout_s`: longest wait for each answer."""

    address: HttpAddress
    credentials: Credentials | None
    timeout_s: float
    utc_ns: Callable[[], int] = time.time_ns
    _http: DeviceHttp = field(init=False)
    _clock_offset_ns: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._http = DeviceHttp(self.address, self.credentials, self.timeout_s)

    async def describe(self) -> Device:
        """All of it. Raises DeviceUnreachable, DeviceUnauthorised, NotADevice."""
        await self._ask_time()
        information = await self._ask(self.address, f'<GetDeviceInformation xmlns="{_DEVICE}"/>')
        media, media2 = await self._media_services()
        profiles: list[Profile] = []
        if media2 is not None:
            # H.265 is seen by media 2 only; a device whose media 2 does not work has media 1.
            profiles = await self._or_none(lambda: self._profiles2(media2))
        if not profiles and media is not None:
            profiles = await self._profiles(media)
        return Device(
            _text(information, "Manufacturer"),
            _text(information, "Model"),
            _text(information, "FirmwareVersion"),
            _text(information, "SerialNumber"),
            tuple(profiles),
            self._clock_offset_ns,
        )

    # ---- the device -------------------------------------------------------------------------------------------------

    async def _ask_time(self) -> None:
        before_ns = self.utc_ns()
        try:
            answer = await self._ask(self.address, f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>', is_secured=False)
        except DeviceUnauthorised:
            return  # Not as the standard has it; the login may work all the same.
        told_ns = _utc_ns(answer)
        if told_ns is not None:
            # It tells whole seconds, cut off: half a second later is nearest on the average.
            self._clock_offset_ns = told_ns + 500_000_000 - (before_ns + self.utc_ns()) // 2

    async def _media_services(self) -> tuple[HttpAddress | None, HttpAddress | None]:
        """Addresses of media 1 and media 2."""
        found: dict[str, HttpAddress] = {}
        body = f'<GetServices xmlns="{_DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>'
        services = await self._or_none(lambda: self._elements(self.address, body, "Service"))
        for service in services:
            found.setdefault(service.value("Namespace"), self.address.at(service.value("XAddr")))
        if not found:
            body = f'<GetCapabilities xmlns="{_DEVICE}"><Category>All</Category></GetCapabilities>'
            capabilities = await self._ask(self.address, body)
            if url := capabilities.value("Capabilities", "Media", "XAddr"):
                found[_MEDIA] = self.address.at(url)
        return found.get(_MEDIA), found.get(_MEDIA2)

    # ---- media ------------------------------------------------------------------------------------------------------

    async def _profiles(self, media: HttpAddress) -> list[Profile]:
        found = []
        for told in (await self._elements(media, f'<GetProfiles xmlns="{_MEDIA}"/>', "Profiles"))[:_MAX_PROFILES]:
            token = escaped(told.attributes.get("token", ""))
            setup = (
                f'<StreamSetup><Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream>'
                f'<Transport xmlns="{_SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
            )
            stream = f'<GetStreamUri xmlns="{_MEDIA}">{setup}<ProfileToken>{token}</ProfileToken></GetStreamUri>'
            snapshot = f'<GetSnapshotUri xmlns="{_MEDIA}"><ProfileToken>{token}</ProfileToken></GetSnapshotUri>'
            encoder = told.find("VideoEncoderConfiguration")
            found.append(
                _profile(told, encoder, await self._uri(media, stream), await self._uri(media, snapshot), self.address)
            )
        return [profile for profile in found if profile.source]

    async def _profiles2(self, media: HttpAddress) -> list[Profile]:
        found = []
        body = f'<GetProfiles xmlns="{_MEDIA2}"><Type>VideoEncoder</Type></GetProfiles>'
        for told in (await self._elements(media, body, "Profiles"))[:_MAX_PROFILES]:
            token = escaped(told.attributes.get("token", ""))
            stream = (
                f'<GetStreamUri xmlns="{_MEDIA2}"><Protocol>RtspUnicast</Protocol>'
                f"<ProfileToken>{token}</ProfileToken></GetStreamUri>"
            )
            snapshot = f'<GetSnapshotUri xmlns="{_MEDIA2}"><ProfileToken>{token}</ProfileToken></GetSnapshotUri>'
            encoder = told.find("VideoEncoder")
            found.append(
                _profile(told, encoder, await self._uri(media, stream), await self._uri(media, snapshot), self.address)
            )
        return [profile for profile in found if profile.source]

    async def _uri(self, media: HttpAddress, body: str) -> str:
        """A URL; empty if the device gives none for this profile, which is no failure of the others."""
        try:
            return (await self._ask(media, body)).value("Uri")
        except NotADevice:
            return ""

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def _elements(self, address: HttpAddress, body: str, name: str) -> list[Element]:
        return (await self._ask(address, body)).all(name)

    async def _or_none(self, ask: Callable[[], Awaitable[list[_T]]]) -> list[_T]:
        """What is asked; nothing from a device that does not know the question."""
        try:
            return await ask()
        except NotADevice:
            return []

    async def _ask(self, address: HttpAddress, body: str, is_secured: bool = True) -> Element:
        """The answer's body. Raises DeviceUnreachable, DeviceUnauthorised, NotADevice (a fault, too)."""
        security = ""
        if is_secured and self.credentials is not None:
            created_ns = self.utc_ns() + (self._clock_offset_ns or 0)
            security = soap.username_token(self.credentials, secrets.token_bytes(16), created_ns)
        answer = await self._http.post(address, soap.envelope(body, security), soap.CONTENT_TYPE)
        try:
            root = parse_xml(answer.body)
        except MalformedXml as error:
            reason = f"answers with HTTP status {answer.status}" if answer.status != 200 else f"its answer {error}"
            raise NotADevice(self._http.thing, f"is no ONVIF device there ({reason})", _REMEDY) from None
        if fault := soap.fault_of(root):
            codes, text = fault
            if soap.is_unauthorised(codes):
                raise unauthorised(self._http.thing, self.credentials is not None)
            raise NotADevice(self._http.thing, f"refuses {_asked(body)} ({_shown(text or codes)})", _REMEDY)
        content = root.find("Body")
        if root.name != "Envelope" or content is None or not content.children:
            raise NotADevice(self._http.thing, "answers with something that is no SOAP", _REMEDY)
        return content


def _asked(body: str) -> str:
    return body[1:].partition(" ")[0]


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:200]


def _text(element: Element, name: str) -> str:
    return _shown(element.value(name)).strip()


def _number(element: Element | None, *path: str) -> float:
    try:
        value = float(element.value(*path)) if element is not None else 0.0
    except ValueError:
        return 0.0
    return value if 0 <= value < 100_000 else 0.0


def _profile(told: Element, encoder: Element | None, source: str, snapshot: str, device: HttpAddress) -> Profile:
    encoding = encoder.value("Encoding").upper() if encoder is not None else ""
    source = reachable(source, device)
    snapshot = reachable(snapshot, device)
    return Profile(
        token=_shown(told.attributes.get("token", "")),
        name=_text(told, "Name"),
        codec=_CODECS.get(encoding.replace(".", ""), CODEC_UNSPECIFIED),
        width=int(_number(encoder, "Resolution", "Width")),
        height=int(_number(encoder, "Resolution", "Height")),
        frame_rate=_number(encoder, "RateControl", "FrameRateLimit"),
        source=source if source.startswith(("rtsp://", "rtsps://")) else "",
        snapshot=snapshot if snapshot.startswith(("http://", "https://")) else "",
    )


def _utc_ns(answer: Element) -> int | None:
    told = answer.find("UTCDateTime")
    if told is None:
        return None
    try:
        year, month, day = (int(told.value("Date", part)) for part in ("Year", "Month", "Day"))
        hour, minute, second = (int(told.value("Time", part)) for part in ("Hour", "Minute", "Second"))
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        return int(moment.timestamp()) * 1_000_000_000
    except (ValueError, OverflowError):
        return None
