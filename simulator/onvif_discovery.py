"""The simulated devices, answering WS-Discovery's question by multicast.

What belongs here: the datagrams. What does not: what a device says once it is asked (`onvif_device`).
"""

from __future__ import annotations

import asyncio
import socket
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from urllib.parse import quote
from xml.sax.saxutils import escape

from simulator.onvif_device import DEVICE, SimulatedDevice

GROUP, PORT = "239.255.255.250", 3702
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_NETWORK = "http://www.onvif.org/ver10/network/wsdl"
_KINDS = ("NetworkVideoTransmitter", "Device")


class DiscoveryAnswerer(asyncio.DatagramProtocol):
    """Answers for devices. `addresses`: of their device services, by id."""

    def __init__(self, devices: Sequence[SimulatedDevice], addresses: Mapping[str, str]) -> None:
        self._devices = devices
        self._addresses = addresses
        self._transport: asyncio.DatagramTransport | None = None
        self.answered = 0

    async def start(self, interface: str = "127.0.0.1", port: int = PORT) -> None:
        """Joins the group on the interface with this address. Raises OSError when it cannot."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", port))
            sock.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(interface)
            )
        except BaseException:
            sock.close()
            raise
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=sock)

    def close(self) -> None:
        """Leaves the group."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question, perhaps."""
        if self._transport is None or len(data) > 65_536:
            return
        try:
            root = ET.fromstring(data)
        except ET.ParseError:
            return
        asked = root.find(f"{{*}}Body/{{{_DISCOVERY}}}Probe")
        question = root.findtext(f"{{*}}Header/{{{_ADDRESSING}}}MessageID")
        if asked is None or not question:
            return
        types = (asked.findtext(f"{{{_DISCOVERY}}}Types") or "").split()
        if types and not any(name.rpartition(":")[2] in _KINDS for name in types):
            return
        for device in self._devices:
            self._transport.sendto(self._match(device, question.strip()), addr)
            self.answered += 1

    def _match(self, device: SimulatedDevice, question: str) -> bytes:
        scopes = " ".join(
            [
                "onvif://www.onvif.org/type/video_encoder",
                "onvif://www.onvif.org/Profile/Streaming",
                f"onvif://www.onvif.org/name/{quote(device.name)}",
                f"onvif://www.onvif.org/hardware/{quote(device.model)}",
                f"onvif://www.onvif.org/location/{quote(device.location)}",
            ]
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="{_ADDRESSING}"'
            f' xmlns:d="{_DISCOVERY}" xmlns:dn="{_NETWORK}" xmlns:tds="{DEVICE}">'
            f"<s:Header><a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{escape(question)}</a:RelatesTo>"
            f"<a:To>{_ADDRESSING}/role/anonymous</a:To><a:Action>{_DISCOVERY}/ProbeMatches</a:Action>"
            '<d:AppSequence InstanceId="1" MessageNumber="1"/></s:Header>'
            "<s:Body><d:ProbeMatches><d:ProbeMatch>"
            f"<a:EndpointReference><a:Address>{device.urn}</a:Address></a:EndpointReference>"
            f"<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types><d:Scopes>{escape(scopes)}</d:Scopes>"
            f"<d:XAddrs>{escape(self._addresses[device.id])}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>"
            "</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
        ).encode()
