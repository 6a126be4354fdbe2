"""WS-Discovery: one question to the network by multicast, and the ONVIF devices that answer, each once.

Belongs here: the question, the answers checked, the sockets. Does not belong here: talking to a device (`onvif`).

The question is repeated, since datagrams get lost; what answers is bounded in bytes, in number and in time. Only
answers to our own questions count.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote, urlsplit

from broker.discovery.errors import NoNetwork
from broker.discovery.interfaces import Interface
from broker.discovery.xmltree import Element, MalformedXml, parse_xml
from mesh.logs import get_logger, rate_limited

log = get_logger("broker.discovery")

GROUP, PORT = "239.255.255.250", 3702
_MAX_DEVICES = 1000
_MAX_WAITING = 256
_MAX_ADDRESSES = 8
_ASK_AT_S = (0.0, 0.4, 1.2)
_SCOPE = "onvif://www.onvif.org/"
# Some devices answer to one of the two only, and a question for anything brings every printer of the house.
_TYPES = (
    ("dn", "http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter"),
    ("tds", "http://www.onvif.org/ver10/device/wsdl", "Device"),
)


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device that answered."""

    urn: str
    addresses: tuple[str, ...]
    name: str
    hardware: str
    location: str


def probe_message(message_id: str, prefix: str, namespace: str, kind: str) -> bytes:
    """The question for devices of one type."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
        ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
        ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">'
        f"<s:Header><a:MessageID>{message_id}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
        "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></s:Header>"
        f'<s:Body><d:Probe><d:Types xmlns:{prefix}="{namespace}">{prefix}:{kind}</d:Types></d:Probe></s:Body>'
        "</s:Envelope>"
    ).encode()


def probe_matches(data: bytes, asked: Iterable[str], sender: str) -> list[FoundDevice]:
    """The ONVIF devices in an answer to one of our questions; none if it is anything else. Raises MalformedXml."""
    root = parse_xml(data)
    if root.value("Header", "RelatesTo") not in asked:
        return []
    matches = [_device(match, sender) for match in root.all("ProbeMatch")]
    return [device for device in matches if device is not None]


def _device(match: Element, sender: str) -> FoundDevice | None:
    urn = match.value("EndpointReference", "Address")[:200]
    types, scopes = match.value("Types"), match.value("Scopes").split()
    is_onvif = any(word in types for word in ("NetworkVideoTransmitter", "Device")) or any(
        scope.startswith(_SCOPE) for scope in scopes
    )
    told = match.value("XAddrs").split()
    addresses = [a for a in told if a.startswith(("http://", "https://")) and len(a) < 500 and a.isprintable()]
    if not urn or not urn.isprintable() or not is_onvif or not addresses:
        return None
    # A device with several networks lists all of its addresses; the one it answers from is the one we reach.
    addresses.sort(key=lambda address: _host(address) != sender)
    return FoundDevice(
        urn,
        tuple(addresses[:_MAX_ADDRESSES]),
        _scope(scopes, "name"),
        _scope(scopes, "hardware"),
        _scope(scopes, "location"),
    )


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _scope(scopes: list[str], name: str) -> str:
    prefix = f"{_SCOPE}{name}/"
    values = [unquote(scope[len(prefix) :]).strip() for scope in scopes if scope.startswith(prefix)]
    shown = [value for value in values if value and value.isprintable()]
    return ", ".join(dict.fromkeys(shown))[:200]


async def discover(on: list[Interface], timeout_s: float) -> AsyncIterator[FoundDevice]:
    """Asks on these interfaces and gives each device as it answers, until the time is over.

    Raises NoNetwork if the question can be sent on none of them.
    """
    questions = {f"urn:uuid:{uuid.uuid4()}": kind for kind in _TYPES}
    messages = [probe_message(message_id, *kind) for message_id, kind in questions.items()]
    inbox: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue(_MAX_WAITING)
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s
    async with contextlib.AsyncExitStack() as stack:
        sockets = []
        for interface in on:
            with contextlib.suppress(OSError):
                sock = _socket_on(interface)
                transport, _ = await loop.create_datagram_endpoint(lambda: _Inbox(inbox), sock=sock)
                stack.callback(transport.close)
                sockets.append(sock)
        asked = [_ask(sock, messages) for sock in sockets]
        if not any(asked):
            names = ", ".join(interface.name for interface in on)
            raise NoNetwork(f"interface {names}", "the question cannot be sent", "Check its address and its routes.")
        asking = asyncio.create_task(_ask_again(sockets, messages))
        stack.callback(asking.cancel)
        found: set[str] = set()
        while len(found) < _MAX_DEVICES and (left_s := ends_at - loop.time()) > 0:
            try:
                data, sender = await asyncio.wait_for(inbox.get(), left_s)
            except TimeoutError:
                return
            for device in _understood(data, questions, sender):
                if device.urn not in found:
                    found.add(device.urn)
                    yield device


def _understood(data: bytes, asked: Iterable[str], sender: str) -> list[FoundDevice]:
    try:
        return probe_matches(data, asked, sender)
    except MalformedXml as error:
        if rate_limited("discovery", 10):
            log.info("an answer that is none was passed over", sender=sender, reason=str(error))
        return []


def _socket_on(interface: Interface) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        # struct ip_mreqn: with the index it is this interface even where two share an address or a route.
        any_group = bytes(4)
        mreqn = any_group + socket.inet_aton(interface.address) + interface.index.to_bytes(4, sys.byteorder)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mreqn)
        sock.bind((interface.address, 0))
    except BaseException:
        sock.close()
        raise
    return sock


class _Inbox(asyncio.DatagramProtocol):
    """Puts what arrives into the queue; what does not fit is lost, as on the network."""

    def __init__(self, inbox: asyncio.Queue[tuple[bytes, str]]) -> None:
        self._inbox = inbox

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """One datagram."""
        if self._inbox.full():
            if rate_limited("discovery", 10):
                log.warning("more answers than can be read; some are lost", waiting=self._inbox.qsize())
            return
        self._inbox.put_nowait((data, address[0]))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens somewhere; others may."""


def _ask(sock: socket.socket, messages: list[bytes]) -> bool:
    """Sends, past asyncio, whose transports do not tell that a datagram could not be sent."""
    is_sent = False
    for message in messages:
        with contextlib.suppress(OSError):
            is_sent |= sock.sendto(message, (GROUP, PORT)) > 0
    return is_sent


async def _ask_again(sockets: list[socket.socket], messages: list[bytes]) -> None:
    for earlier, at_s in pairwise(_ASK_AT_S):
        await asyncio.sleep(at_s - earlier)
        for sock in sockets:
            _ask(sock, messages)
