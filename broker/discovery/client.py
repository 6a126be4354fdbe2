"""Clients of discovery: what the command line and programs import.

    with SyncDiscoveryClient(endpoint, token) as discovery:
        for device in discovery.devices(timeout_s=4):
            print(device.name, device.addresses)

Every method raises the errors of mesh.errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any

from broker.client_calls import translated
from mesh.channel import Token, connect, connect_sync
from trueframe.v1 import discovery_pb2_grpc
from trueframe.v1.cameras_pb2 import CameraSpec
from trueframe.v1.discovery_pb2 import (
    DeviceProfile,
    DiscoverDevicesRequest,
    DiscoverDevicesResponse,
    ListDeviceProfilesRequest,
    ListDeviceProfilesResponse,
    ProbeSourceRequest,
    ProbeSourceResponse,
)

__all__ = [
    "CameraSpec",
    "DeviceProfile",
    "DiscoverDevicesResponse",
    "DiscoveryClient",
    "ListDeviceProfilesResponse",
    "ProbeSourceResponse",
    "SyncDiscoveryClient",
]

# Beyond what the broker allows itself for the same call.
_LISTENING_MORE_S = 10.0
_PROFILES_S = 40.0
_PROBE_MORE_S = 60.0


class DiscoveryClient:
    """An asynchronous client. `token`: a mesh.channel.Credentials, the token's text, or the Path of its file."""

    def __init__(self, endpoint: str, token: Token | None) -> None:
        self.endpoint = endpoint
        self._channel = connect(endpoint, token)
        self._stub = discovery_pb2_grpc.DiscoveryServiceStub(self._channel)

    async def __aenter__(self) -> DiscoveryClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all calls and the channel."""
        await self._channel.close()

    async def devices(self, timeout_s: float = 4.0, interface: str = "") -> AsyncIterator[DiscoverDevicesResponse]:
        """ONVIF devices as they answer, until the time is over. Raises InvalidArgument, Unavailable."""
        request = DiscoverDevicesRequest(timeout_s=timeout_s, interface=interface)
        with translated():
            async for device in self._stub.DiscoverDevices(request, timeout=timeout_s + _LISTENING_MORE_S):
                yield device

    async def profiles(self, address: str, user: str = "", password: str = "") -> ListDeviceProfilesResponse:
        """The video profiles of a device. Raises InvalidArgument, Unauthenticated, Unavailable, FailedPrecondition."""
        request = ListDeviceProfilesRequest(address=address, user=user, password=password)
        with translated():
            return await self._stub.ListDeviceProfiles(request, timeout=_PROFILES_S)

    async def probe(self, spec: CameraSpec, seconds: float = 5.0) -> ProbeSourceResponse:
        """Tries a source. Raises InvalidArgument, ResourceExhausted."""
        request = ProbeSourceRequest(spec=spec, seconds=seconds)
        with translated():
            return await self._stub.ProbeSource(request, timeout=seconds + _PROBE_MORE_S)


class SyncDiscoveryClient:
    """The same for programs without an event loop."""

    def __init__(self, endpoint: str, token: Token | None) -> None:
        self.endpoint = endpoint
        self._channel = connect_sync(endpoint, token)
        self._stub: Any = discovery_pb2_grpc.DiscoveryServiceStub(self._channel)

    def __enter__(self) -> SyncDiscoveryClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all calls and the channel."""
        self._channel.close()

    def devices(self, timeout_s: float = 4.0, interface: str = "") -> Iterator[DiscoverDevicesResponse]:
        """As DiscoveryClient.devices."""
        request = DiscoverDevicesRequest(timeout_s=timeout_s, interface=interface)
        with translated():
            call = self._stub.DiscoverDevices(request, timeout=timeout_s + _LISTENING_MORE_S)
            try:
                yield from call
            finally:
                call.cancel()

    def profiles(self, address: str, user: str = "", password: str = "") -> ListDeviceProfilesResponse:
        """As DiscoveryClient.profiles."""
        request = ListDeviceProfilesRequest(address=address, user=user, password=password)
        with translated():
            answer: ListDeviceProfilesResponse = self._stub.ListDeviceProfiles(request, timeout=_PROFILES_S)
            return answer

    def probe(self, spec: CameraSpec, seconds: float = 5.0) -> ProbeSourceResponse:
        """As DiscoveryClient.probe."""
        request = ProbeSourceRequest(spec=spec, seconds=seconds)
        with translated():
            answer: ProbeSourceResponse = self._stub.ProbeSource(request, timeout=seconds + _PROBE_MORE_S)
            return answer
