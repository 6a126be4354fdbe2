"""The IPv4 interfaces of this host: which of them a question to the network can be asked on."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from dataclasses import dataclass

from broker.discovery.errors import NoNetwork, NoSuchInterface

_SIOCGIFADDR = 0x8915
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface with its first IPv4 address."""

    name: str
    index: int
    address: str


def interfaces() -> list[Interface]:
    """Those that are up and have an IPv4 address, loopback included. Linux only; elsewhere the default one."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for index, name in socket.if_nameindex():
            request = struct.pack("16s24x", name.encode()[:15])
            with contextlib.suppress(OSError):
                (flags,) = struct.unpack_from("h", fcntl.ioctl(probe, _SIOCGIFFLAGS, request), 16)
                if flags & _IFF_UP:
                    answer = fcntl.ioctl(probe, _SIOCGIFADDR, request)
                    found.append(Interface(name, index, socket.inet_ntoa(answer[20:24])))
    return found


def chosen(wanted: str) -> list[Interface]:
    """All interfaces, or the one of that name or address. Raises NoSuchInterface, NoNetwork."""
    present = interfaces()
    if not present:
        raise NoNetwork("network", "this host has no interface with an IPv4 address", "Connect it to the cameras.")
    if not wanted:
        return present
    matching = [interface for interface in present if wanted in (interface.name, interface.address)]
    if not matching:
        names = ", ".join(f"{interface.name} ({interface.address})" for interface in present)
        raise NoSuchInterface(f"interface {wanted[:80]!r}", "is none of this host", f"There are: {names}.")
    return matching
