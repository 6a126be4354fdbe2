"""The bus: NATS, events as CloudEvents, JetStream where nothing may be lost. Carries no frames and no pixels (law 7).

    subject                        stream             carries
    trueframe.anomaly.<camera>     TRUEFRAME_EVENTS   begun, changed and ended anomalies
    trueframe.camera.<camera>      TRUEFRAME_EVENTS   camera states
    trueframe.event.<camera>       TRUEFRAME_EVENTS   events and their alarms; <camera> is _system without one
    trueframe.footage.held.<camera> TRUEFRAME_EVENTS  clips that are held for events
    trueframe.system.<service>     TRUEFRAME_EVENTS   what ails a part of trueframe itself (mesh.conditions)
    trueframe.security.revocations TRUEFRAME_SECURITY the list of revoked tokens (mesh.revocation_bus)
    trueframe.poison.<reader>      TRUEFRAME_POISON   messages that a reader could not take (mesh.bus_poison)
    trueframe.footage.persisted    none (core NATS)   watermarks; the next message heals a lost one

A bus that is not connected is no reason not to start: connecting goes on in the background for ever, and whoever
publishes meanwhile gets Unavailable. The ids of subjects are validated here, since a camera id becomes part of one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StorageType, StreamConfig, StreamInfo

from mesh.bus_entry import BusEntry
from mesh.bus_subscription import CoreSubscription, DurableSubscription, Handler, Message
from mesh.cancellation import ended, honour_cancellation
from mesh.config import Config
from mesh.errors import InvalidArgument, Unavailable
from mesh.ids import validate_camera_id
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter, gauge
from mesh.redact import redact, redact_url

__all__ = [
    "ANOMALIES",
    "CAMERA_STATES",
    "EVENTS",
    "EVENT_STREAM",
    "EVENT_SUBJECTS",
    "FOOTAGE_HELD",
    "FOOTAGE_PERSISTED",
    "SYSTEM_CONDITIONS",
    "Bus",
    "Handler",
    "Message",
    "anomaly_subject",
    "camera_subject",
    "event_subject",
    "held_subject",
]

log = get_logger("mesh.bus")

EVENT_STREAM = "TRUEFRAME_EVENTS"
ANOMALIES = "trueframe.anomaly.>"
CAMERA_STATES = "trueframe.camera.>"
EVENTS = "trueframe.event.>"
FOOTAGE_HELD = "trueframe.footage.held.>"
SYSTEM_CONDITIONS = "trueframe.system.>"
EVENT_SUBJECTS = (ANOMALIES, CAMERA_STATES, EVENTS, FOOTAGE_HELD, SYSTEM_CONDITIONS)
FOOTAGE_PERSISTED = "trueframe.footage.persisted"
MAX_PAYLOAD_BYTES = 1 << 20
SEVEN_DAYS_S = 7 * 24 * 3600.0
# Within this time JetStream itself drops a second message of the same event id.
DUPLICATE_WINDOW_S = 120.0
_SMALLEST_STREAM_BYTES = 8 << 20
# Of JetStream: not enough resources, not enough storage; and two services made the same stream at the same time.
_NO_SPACE_CODES = frozenset({10023, 10047})
_NAME_IN_USE_CODE = 10058
_RECONNECT_EVERY_S = 0.5

_published = counter("bus_published", "Messages published.", ("kind",))
_publish_failures = counter("bus_publish_failures", "Messages that could not be published.", ("kind",))
_connected = gauge("bus_connected", "1 while the bus is connected.")


def anomaly_subject(camera: str) -> str:
    """Subject of the anomalies of a camera. Raises InvalidArgument."""
    return f"trueframe.anomaly.{validate_camera_id(camera)}"


def camera_subject(camera: str) -> str:
    """Subject of the states of a camera. Raises InvalidArgument."""
    return f"trueframe.camera.{validate_camera_id(camera)}"


def event_subject(camera: str) -> str:
    """Subject of the events of a camera, or of those without one. Raises InvalidArgument."""
    return f"trueframe.event.{validate_camera_id(camera) if camera else '_system'}"


def held_subject(camera: str) -> str:
    """Subject of the held clips of a camera. Raises InvalidArgument."""
    return f"trueframe.footage.held.{validate_camera_id(camera)}"


class Bus:
    """A connection to NATS. Use `async with Bus(...)`, or `start` and `close`."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        name: str = "trueframe",
        source: str = "",
        entry: BusEntry | None = None,
    ) -> None:
        self._servers = [server.strip() for server in url.split(",") if server.strip()]
        self._token = token
        self._entry = entry
        self._name = name
        self._source = source or f"trueframe/{name}"
        self._client = Client()
        self._connecting: asyncio.Task[None] | None = None
        self._is_closing = False
        self._ready = asyncio.Event()
        self._streams: dict[str, StreamConfig] = {}
        self._incarnations_ns: dict[str, int] = {}
        self._subscriptions: list[DurableSubscription | CoreSubscription] = []

    @classmethod
    def from_config(cls, config: Config, name: str) -> Bus:
        """The bus of the configuration; `name` the service's. Raises as `BusEntry`."""
        return cls(config.nats.url, name=name, entry=BusEntry(config.nats))

    async def __aenter__(self) -> Bus:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether messages go out now."""
        return bool(self._client.is_connected)

    async def start(self) -> None:
        """Begins to connect; returns at once. Connecting and reconnecting never give up."""
        self._is_closing = False
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="bus connects")

    async def ready(self, timeout_s: float = 5.0) -> None:
        """Returns once connected. Raises Unavailable after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            raise self._unavailable("does not answer") from None

    async def close(self) -> None:
        """Ends all subscriptions, sends what is buffered, and disconnects."""
        self._is_closing = True
        for subscription in list(self._subscriptions):
            await subscription.close()
        if self._connecting is not None:
            await ended(self._connecting)
            self._connecting = None
        if self._client.is_connected:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await asyncio.wait_for(self._client.flush(), 2.0)
        # The library asserts that `connect` has begun: not so when the process fails in its first moment.
        with contextlib.suppress(nats.errors.Error, OSError, asyncio.CancelledError, AssertionError):
            await self._client.close()
        self._ready.clear()
        _connected.set(0)

    async def ensure_stream(
        self,
        name: str = EVENT_STREAM,
        subjects: Sequence[str] = EVENT_SUBJECTS,
        *,
        max_age_s: float = SEVEN_DAYS_S,
        max_bytes: int = 1 << 30,
        max_messages: int = -1,
    ) -> None:
        """Makes sure of a file-backed stream, now and after each reconnect. Raises Unavailable while not connected.

        Bounded by age, bytes and number, whichever comes first; the oldest messages go. The server reserves the bytes;
        where it has not that much space, the bound is lowered, down to 8 MiB. -1 is no bound, and reserves nothing. A
        publisher that has been refused for lack of a stream heals by calling this again.
        """
        self._streams[name] = StreamConfig(
            name=name,
            subjects=list(subjects),
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            max_age=max_age_s,
            max_bytes=max_bytes,
            max_msgs=max_messages,
            max_msg_size=MAX_PAYLOAD_BYTES,
            duplicate_window=DUPLICATE_WINDOW_S,
        )
        await self.ready()
        await self._ensure(self._streams[name])

    async def publish(self, subject: str, payload: bytes, *, event_id: str, type: str) -> int:  # noqa: A002
        """Publishes to a stream and returns the message's number in it once it is stored.

        `event_id` deduplicates: the same id twice within two minutes is stored once. `type` is the CloudEvents type
        ("trueframe.anomaly.begun"). Raises Unavailable (not stored, or not known to be: publish again with the same
        id), InvalidArgument (too large).
        """
        headers = self._headers(event_id, type, payload) | {"Nats-Msg-Id": event_id}
        _check_payload(subject, payload)
        if not self._client.is_connected:
            _publish_failures.labels("stream").inc()
            raise self._unavailable("is not connected")
        try:
            answer = await self._client.jetstream().publish(subject, payload, timeout=5.0, headers=headers)
        except nats.js.errors.NoStreamResponseError:
            _publish_failures.labels("stream").inc()
            await self.restore_streams()
            raise self._unavailable(f"no stream takes {subject}") from None
        except (nats.errors.Error, OSError, TimeoutError) as error:
            honour_cancellation()
            _publish_failures.labels("stream").inc()
            raise self._unavailable(_reason(error)) from None
        _published.labels("stream").inc()
        return int(answer.seq)

    async def publish_core(self, subject: str, payload: bytes, *, type: str, event_id: str = "") -> None:  # noqa: A002
        """Publishes at most once, stored nowhere: for what the next message heals. Raises as `publish`."""
        _check_payload(subject, payload)
        if not self._client.is_connected:
            _publish_failures.labels("core").inc()
            raise self._unavailable("is not connected")
        try:
            await self._client.publish(subject, payload, headers=self._headers(event_id, type, payload))
        except (nats.errors.Error, OSError) as error:
            _publish_failures.labels("core").inc()
            raise self._unavailable(_reason(error)) from None
        _published.labels("core").inc()

    def subscribe_durable(self, stream: str, durable: str, subject: str, handler: Handler) -> DurableSubscription:
        """Hands every message of a stream to `handler`, one by one, at least once, across restarts of either side.

        `durable` names the reader: its position is kept by the server. A message is acknowledged after `handler` has
        returned; if it raises, the message comes again, later each time up to a minute. One for which it raises
        InvalidArgument, or five times anything but that something is away, is set aside (`mesh.bus_poison`). The order
        is that of the stream, but for messages that come again. Runs until `close`; returns at once.
        """
        subscription = DurableSubscription(self, stream, durable, subject, handler)
        self._subscriptions.append(subscription)
        return subscription

    def subscribe_core(self, subject: str, handler: Handler, *, max_pending: int = 1024) -> CoreSubscription:
        """Hands messages to `handler` as they come, at most once; beyond `max_pending` they are dropped and counted."""
        subscription = CoreSubscription(self, subject, handler, max_pending)
        self._subscriptions.append(subscription)
        return subscription

    @contextlib.asynccontextmanager
    async def durable(self, stream: str, durable: str, subject: str, handler: Handler) -> AsyncIterator[None]:
        """`subscribe_durable` for the time of a block."""
        subscription = self.subscribe_durable(stream, durable, subject, handler)
        try:
            yield
        finally:
            await subscription.close()

    # --- for subscriptions -------------------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """The library's client; only for the modules of the bus."""
        return self._client

    def forget(self, subscription: DurableSubscription | CoreSubscription) -> None:
        """A subscription has ended."""
        with contextlib.suppress(ValueError):
            self._subscriptions.remove(subscription)

    def incarnation_ns(self, name: str = EVENT_STREAM) -> int:
        """When the stream was made, UTC nanoseconds of the server, as it was last seen; 0 before it was.

        Another value means that the server lost it with all that was in it, and it was made again.
        """
        return self._incarnations_ns.get(name, 0)

    async def look_at_incarnation(self, name: str = EVENT_STREAM) -> int:
        """Asks the server when the stream was made, and makes it if it is gone. Raises Unavailable."""
        if not self._client.is_connected:
            raise self._unavailable("is not connected")
        try:
            self._note(await self._client.jetstream().stream_info(name))
        except nats.js.errors.NotFoundError:
            if name not in self._streams:
                raise self._unavailable(f"has no stream {name}") from None
            await self._ensure(self._streams[name])
        except (nats.errors.Error, OSError, TimeoutError) as error:
            honour_cancellation()
            raise self._unavailable(_reason(error)) from None
        return self.incarnation_ns(name)

    async def wait_connected(self) -> None:
        """Returns once the first connection is made, however long that takes."""
        await self._ready.wait()

    async def restore_streams(self) -> None:
        """Makes the streams that were asked for once more, if the server has lost them."""
        for stream in self._streams.values():
            with contextlib.suppress(Unavailable):
                await self._ensure(stream)

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        options: dict[str, Any] = {"token": self._token} if self._token else {}
        if self._entry is not None:
            options |= self._entry.options()
        await self._client.connect(
            self._servers,
            name=self._name,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_EVERY_S,  # type: ignore[arg-type]  # seconds, may be a fraction
            connect_timeout=2,
            ping_interval=10,
            max_outstanding_pings=2,
            # What could not be sent is not held back to be sent late: the outbox does that, and knows the order.
            pending_size=4 * MAX_PAYLOAD_BYTES,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            **options,
        )
        log.info("bus connected", name=self._name)
        _connected.set(1)
        await self.restore_streams()
        self._ready.set()

    async def _ensure(self, stream: StreamConfig) -> None:
        manager = self._client.jetstream()
        try:
            try:
                self._note(await manager.update_stream(stream))
            except nats.js.errors.NotFoundError:
                self._note(await manager.add_stream(stream))
        except nats.js.errors.APIError as error:
            smallest = (stream.max_bytes or 0) <= _SMALLEST_STREAM_BYTES
            if error.err_code in _NO_SPACE_CODES and not smallest:
                # The server reserves the whole size at once: on a small disk a shorter memory beats none.
                stream.max_bytes = max((stream.max_bytes or 0) // 4, _SMALLEST_STREAM_BYTES)
                log.warning("not enough space for the stream", stream=stream.name, next_try_bytes=stream.max_bytes)
                await self._ensure(stream)
            elif error.err_code != _NAME_IN_USE_CODE:
                raise self._unavailable(_reason(error)) from None
        except (nats.errors.Error, OSError, TimeoutError) as error:
            honour_cancellation()
            raise self._unavailable(_reason(error)) from None

    def _note(self, info: StreamInfo) -> None:
        name = info.config.name or ""
        made_ns = int(info.created.timestamp()) * 1_000_000_000 + info.created.microsecond * 1000 if info.created else 0
        if self.incarnation_ns(name) not in (0, made_ns):
            log.warning("the stream was lost and made again", stream=name)
        self._incarnations_ns[name] = made_ns

    async def _on_error(self, error: Exception) -> None:
        if rate_limited(f"bus error {self._name}", 5.0):
            log.warning("bus error", error=_reason(error))

    async def _on_disconnected(self) -> None:
        _connected.set(0)
        if self._entry is not None:
            self._entry.renew()
        if not self._is_closing:
            log.warning("bus disconnected", name=self._name)

    async def _on_reconnected(self) -> None:
        _connected.set(1)
        log.info("bus reconnected", name=self._name)
        await self.restore_streams()

    def _headers(self, event_id: str, type: str, payload: bytes) -> dict[str, str]:  # noqa: A002
        # No protobuf message of ours begins like a JSON object: that byte would open a group, which proto3 has not.
        is_json = payload.startswith(b"{")
        headers = {
            "ce-specversion": "1.0",
            "ce-source": self._source,
            "ce-type": type,
            "ce-time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "content-type": "application/json" if is_json else "application/protobuf",
        }
        return headers | {"ce-id": event_id} if event_id else headers

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(f"bus {redact_url(','.join(self._servers))}", reason, "It is tried again by itself.")


def _check_payload(subject: str, payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise InvalidArgument(f"message to {subject}", f"is larger than {MAX_PAYLOAD_BYTES} bytes")


def _reason(error: BaseException) -> str:
    return redact(f"{type(error).__name__}: {error}".rstrip(": "))
