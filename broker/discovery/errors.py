"""What can go wrong between an administrator and a device that is not a camera yet.

    TrueframeError (mesh.errors)
    ├── NotAnAddress (InvalidArgument)          not an http(s) address
    ├── NoSuchInterface (InvalidArgument)       this host has no interface of that name or address
    ├── NoNetwork (Unavailable)                 there is no interface to ask on
    ├── DeviceUnreachable (Unavailable)         nobody answers there
    ├── DeviceUnauthorised (Unauthenticated)    the device refuses user or password: its own, not trueframe's
    └── NotADevice (FailedPrecondition)         it answers, and does not speak ONVIF

Texts hold no credentials.
"""

from __future__ import annotations

from mesh.errors import FailedPrecondition, InvalidArgument, Unauthenticated, Unavailable


class NotAnAddress(InvalidArgument):
    """Not an http(s) address."""

    def __init__(self, thing: str, reason: str, remedy: str = "Write http://HOST[:PORT]/onvif/device_service.") -> None:
        super().__init__(thing, reason, remedy)


class NoSuchInterface(InvalidArgument):
    """This host has no such interface."""


class NoNetwork(Unavailable):
    """There is no interface to ask on."""


class DeviceUnreachable(Unavailable):
    """Nobody answers there."""


class DeviceUnauthorised(Unauthenticated):
    """The device refuses user or password."""


class NotADevice(FailedPrecondition):
    """It answers, and does not speak ONVIF."""
