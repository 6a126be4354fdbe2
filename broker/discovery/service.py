"""The gRPC face of discovery: requests checked, answers put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

from broker.discovery.addresses import parse_address
from broker.discovery.errors import DeviceUnreachable
from broker.discovery.interfaces import chosen
from broker.discovery.onvif import Device, OnvifDevice
from broker.discovery.probe import Prober, stream_key
from broker.discovery.wsd import discover
from broker.registry import CameraRegistry
from broker.rtsp.auth import Credentials
from broker.sources.notation import FileSource, parse_source
from broker.view import stored_of
from mesh.errors import InvalidArgument, ResourceExhausted
from mesh.logs import get_logger
from mesh.security import principal_of
from mesh.tokens import Principal
from trueframe.v1 import discovery_pb2, discovery_pb2_grpc

log = get_logger("broker.discovery")

DISCOVERY_SERVICE = "trueframe.v1.DiscoveryService"

_CALLS_AT_ONCE = 8
_DEVICE_ANSWER_S = 5.0
_DEVICE_TOTAL_S = 30.0
_LONGEST_SECRET = 512


class DiscoveryServicer(discovery_pb2_grpc.DiscoveryServiceServicer):
    """Finds devices and tries sources. Nothing is stored."""

    def __init__(self, registry: CameraRegistry, prober: Prober) -> None:
        self._registry = registry
        self._prober = prober
        self._calls = 0

    async def DiscoverDevices(  # noqa: N802
        self, request: discovery_pb2.DiscoverDevicesRequest, context: Any
    ) -> AsyncIterator[discovery_pb2.DiscoverDevicesResponse]:
        """Asks the network and streams each device as it answers."""
        timeout_s = _bounded("timeout_s", request.timeout_s or 4.0, 0.5, 60.0)
        principal = principal_of(context)
        with self._counted():
            log.info("network is asked for devices", by=principal.name, interface=request.interface[:80])
            async for device in discover(chosen(request.interface), timeout_s):
                yield discovery_pb2.DiscoverDevicesResponse(
                    urn=device.urn,
                    addresses=device.addresses,
                    name=device.name,
                    hardware=device.hardware,
                    location=device.location,
                    cameras=self._cameras_on(device.addresses, principal),
                )

    async def ListDeviceProfiles(  # noqa: N802
        self, request: discovery_pb2.ListDeviceProfilesRequest, context: Any
    ) -> discovery_pb2.ListDeviceProfilesResponse:
        """The video profiles of one device."""
        principal = principal_of(context)
        address = parse_address(request.address)
        if max(len(request.user), len(request.password)) > _LONGEST_SECRET:
            raise InvalidArgument("user or password", f"is longer than {_LONGEST_SECRET} characters")
        credentials = Credentials(request.user, request.password) if request.user or request.password else None
        with self._counted():
            log.info("device is asked for its profiles", by=principal.name, device=address.authority)
            try:
                async with asyncio.timeout(_DEVICE_TOTAL_S):
                    device = await OnvifDevice(address, credentials, _DEVICE_ANSWER_S).describe()
            except TimeoutError:
                reason = f"is not done answering within {_DEVICE_TOTAL_S:g} s"
                raise DeviceUnreachable(f"device at {address.host}:{address.port}", reason, "Try again.") from None
        return _profiles_view(device)

    async def ProbeSource(  # noqa: N802
        self, request: discovery_pb2.ProbeSourceRequest, context: Any
    ) -> discovery_pb2.ProbeSourceResponse:
        """Tries a source."""
        seconds = _bounded("seconds", request.seconds or 5.0, 0.5, 30.0)
        principal = principal_of(context)
        with self._counted():
            if request.spec.id and not request.spec.source:
                principal.require(request.spec.id)
            log.info("source is tried", by=principal.name)
            return await self._prober.probe(stored_of(request.spec), seconds, principal.allows)

    def _cameras_on(self, addresses: tuple[str, ...], principal: Principal) -> list[str]:
        hosts = {(urlsplit(address).hostname or "").lower() for address in addresses}
        found = []
        for entry in self._registry.entries():
            try:
                source = parse_source(entry.stored.source)
            except InvalidArgument:
                continue
            if not isinstance(source, FileSource) and stream_key(source)[0] in hosts:
                found.append(entry.stored.id)
        return principal.visible(found)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """One call more, for the time of a block. Raises ResourceExhausted."""
        if self._calls >= _CALLS_AT_ONCE:
            reason = f"would be more than {_CALLS_AT_ONCE} calls at once"
            raise ResourceExhausted("discovery", reason, "Wait until one has ended.")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1


def _bounded(thing: str, value: float, at_least: float, at_most: float) -> float:
    if not at_least <= value <= at_most:  # NaN, too.
        raise InvalidArgument(thing, f"is {value:g}", f"Give {at_least:g} to {at_most:g}.")
    return value


def _profiles_view(device: Device) -> discovery_pb2.ListDeviceProfilesResponse:
    return discovery_pb2.ListDeviceProfilesResponse(
        manufacturer=device.manufacturer,
        model=device.model,
        firmware=device.firmware,
        serial=device.serial,
        profiles=[
            discovery_pb2.DeviceProfile(
                token=profile.token,
                name=profile.name,
                codec=profile.codec,
                width=profile.width,
                height=profile.height,
                frame_rate=profile.frame_rate,
                source=profile.source,
                snapshot=profile.snapshot,
            )
            for profile in device.profiles
        ],
        clock_offset_ns=device.clock_offset_ns,
    )
