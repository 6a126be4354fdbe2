"""MQTT: the message for programs as JSON to a topic, with QoS 1: told once the broker has said so.

Each message has a connection of its own: alarms are rare, and nothing has to be kept alive between them. MQTT 5, so
that a broker can say why it refuses; the id travels inside the JSON and as a user property.
"""

from __future__ import annotations

import ssl
import threading
from functools import partial
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from event_center.notifications.errors import Deferred, Refused
from event_center.notifications.forms import plain_json
from event_center.notifications.line import Line, talk
from event_center.notifications.outlet import Parcel
from event_center.notifications.secret import secret_of
from mesh.config_notifications import NotificationChannel

# Reason codes of a broker that are about this message: too large, a bad topic name, a bad payload.
_IN_VAIN = frozenset({0x90, 0x95, 0x99})
_GOOD_BYE_S = 2.0


class Mqtt:
    """Carries to a broker. The password is read at every attempt."""

    carries_stills = True

    def __init__(self, channel: NotificationChannel) -> None:
        self._channel = channel

    async def carry(self, parcel: Parcel) -> str:
        """Publishes once. Raises Refused, Deferred."""
        channel, line = self._channel, Line()
        publishing = partial(_publish, channel, parcel.id, plain_json(parcel), secret_of(channel.secret_file))
        await talk(line, publishing, channel.timeout_s + 2 * _GOOD_BYE_S, channel.host)
        return ""


class _Talk:
    """What is said to the broker, and what it answers, as the library's thread hears it."""

    def __init__(self, topic: str, payload: bytes, delivery_id: str) -> None:
        self._topic = topic
        self._payload = payload
        self._properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        self._properties.UserProperty = [("trueframe-id", delivery_id)]
        self._properties.ContentType = "application/json"
        self.done = threading.Event()
        self.connected: ReasonCode | None = None
        self.published: ReasonCode | None = None

    def on_connect(self, client: paho.Client, _: Any, __: Any, reason: ReasonCode, ___: Any) -> None:
        self.connected = reason
        if reason.is_failure:
            self.done.set()
        else:
            client.publish(self._topic, self._payload, qos=1, properties=self._properties)

    def on_publish(self, client: paho.Client, _: Any, __: int, reason: ReasonCode, ___: Any) -> None:
        self.published = reason
        self.done.set()

    def on_disconnect(self, client: paho.Client, _: Any, __: Any, reason: ReasonCode, ___: Any) -> None:
        self.done.set()


class _Encrypted(ssl.SSLSocket):
    """A socket that is closed when the handshake fails; the library drops it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _publish(channel: NotificationChannel, delivery_id: str, payload: bytes, password: str) -> None:
    host, security = channel.host, channel.security or "tls"
    talked = _Talk(channel.topic, payload, delivery_id)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, reconnect_on_failure=False)
    client.on_connect, client.on_publish = talked.on_connect, talked.on_publish
    client.on_disconnect = talked.on_disconnect
    client.connect_timeout = channel.timeout_s
    if channel.user:
        client.username_pw_set(channel.user, password)
    try:
        if security == "tls":
            context = ssl.create_default_context(cafile=str(channel.ca_file) if channel.ca_file else None)
            context.sslsocket_class = _Encrypted
            client.tls_set_context(context)
        client.connect(host, channel.port or (8883 if security == "tls" else 1883), keepalive=30)
    except ssl.SSLCertVerificationError as error:
        raise Deferred(f"{host}: its certificate is not believed ({error.verify_message})") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise Deferred(f"{host}: {why}") from None
    client.loop_start()
    try:
        is_done = talked.done.wait(channel.timeout_s)
        _judge(host, talked, is_done)
    finally:
        client.disconnect()
        client.loop_stop()


def _judge(host: str, talked: _Talk, is_done: bool) -> None:
    """Raises Refused or Deferred unless the broker has the message."""
    if talked.connected is not None and talked.connected.is_failure:
        raise Deferred(f"{host} does not let us in ({talked.connected})")
    if talked.published is not None:
        if not talked.published.is_failure:
            return
        said = f"{host} does not take the message ({talked.published})"
        raise Refused(said) if talked.published.value in _IN_VAIN else Deferred(said)
    if not is_done:
        raise Deferred(f"{host} did not answer in time")
    raise Deferred(f"{host} broke off")
