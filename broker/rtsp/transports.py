"""Transport headers (RFC 2326, 12.39), and which transport to try when.

Belongs here: the text form, and the order of tries. Does not belong here: sockets (`udp`), requests (`session`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, TypeAlias

from broker.kinds import Transport
from trueframe.v1.cameras_pb2 import TRANSPORT_TCP, TRANSPORT_UDP

Way: TypeAlias = Literal["tcp", "udp"]


# Connections over TCP in a row that played and gave nothing, before UDP is tried first.
_VAIN_AT_MOST = 3


def ways_to_try(wish: Transport, that_worked: str, waits_in_vain: int = 0) -> tuple[Way, ...]:
    """The transports to try in order, for an administrator's wish and what worked the last time ("" if unknown).

    `waits_in_vain`: connections in a row that played and gave nothing.
    """
    ways: tuple[Way, ...] = ("tcp", "udp")
    if wish == TRANSPORT_TCP:
        return ("tcp",)
    if wish == TRANSPORT_UDP:
        ways = ("udp", "tcp")
    if that_worked == ways[1] or (not that_worked and ways[0] == "tcp" and waits_in_vain >= _VAIN_AT_MOST):
        return ways[1], ways[0]
    return ways


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a camera's answer to SETUP says of the way its packets come; None where it says nothing."""

    is_interleaved: bool | None = None
    channels: tuple[int, int] | None = None
    server_ports: tuple[int, int] | None = None
    source: str = ""
    """An address that packets come from, if it is not the one of the RTSP connection."""


def interleaved(channel: int) -> str:
    """Asks for packets inside the RTSP connection, on this channel and the next."""
    return f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"


def datagrams(ports: tuple[int, int]) -> str:
    """Asks for packets over UDP, to these ports of ours."""
    return f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]}"


def agreed(header: str) -> Agreed:
    """Reads the Transport header of an answer, whatever it looks like."""
    is_interleaved: bool | None = None
    channels = server_ports = None
    source = ""
    for part in header.split(",")[0].split(";"):
        name, _, text = part.strip().partition("=")
        name, text = name.strip().lower(), text.strip().strip('"')
        if name.startswith(("rtp/", "raw/")):
            is_interleaved = name.endswith("/tcp")
        elif name == "interleaved":
            channels = _pair(text, 255)
        elif name == "server_port":
            server_ports = _pair(text, 65535)
        elif name == "source":
            source = _address(text)
    if channels is not None:
        is_interleaved = True
    return Agreed(is_interleaved, channels, server_ports if server_ports and all(server_ports) else None, source)


def _pair(text: str, largest: int) -> tuple[int, int] | None:
    first, _, second = text.partition("-")
    low, high = _number(first), _number(second)
    if low is None or low >= largest:
        return None
    return low, high if high is not None and high <= largest else low + 1


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else None


def _address(text: str) -> str:
    """Only an address by itself: a name would have to be looked up while packets come."""
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return ""
    return "" if address.is_unspecified or address.is_multicast else str(address)
