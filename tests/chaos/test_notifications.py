"""Many alarms, channels that go away, an event center that is killed: everybody is told what is theirs, at least once.

The event center is a process of its own; the SMTP server, the HTTP receiver and the MQTT broker are real ones.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from event_center.notifications.client import SyncNotificationClient
from mesh.bus import Bus, anomaly_subject
from mesh.bus_entry import BusEntry
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.mosquitto import USER, Listener, mosquitto
from tests.notified import Receiver, receiver
from tests.post_office import PASSWORD, Post
from tests.support import auntil
from trueframe.v1 import frames_pb2, inspection_pb2
from trueframe.v1.notifications_pb2 import DELIVERY_PROGRESS_PENDING

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

ALARMS = 45
CAMERAS = ("yard", "gate", "hall")
KILLS = 3
START_NS = 1_700_000_000_000_000_000


def toml(http: Receiver, post: Post, mqtt_port: int, folder: Path) -> str:
    return f"""
[[notifications.channels]]
id = "hook"
kind = "webhook"
url = "{http.url}"
allow_private = true
longest_wait_s = 0.2

[[notifications.channels]]
id = "mail"
kind = "email"
host = "localhost"
port = {post.port}
ca_file = "{folder}/ca.pem"
user = "trueframe"
secret_file = "{folder}/password"
sender = "trueframe@example.org"
recipients = ["duty@example.org"]
longest_wait_s = 0.2

[[notifications.channels]]
id = "bell"
kind = "mqtt"
host = "localhost"
port = {mqtt_port}
ca_file = "{folder}/bell/ca.pem"
user = "{USER}"
secret_file = "{folder}/bell/password"
longest_wait_s = 0.2

[[notifications.rules]]
id = "all"
channels = ["hook"]
kinds = ["anomaly"]
at_most = 0

[[notifications.rules]]
id = "gate"
channels = ["mail"]
cameras = ["gate"]
at_most = 0

[[notifications.rules]]
id = "hall"
channels = ["bell"]
cameras = ["ha*"]
at_most = 0
"""


def camera_of(number: int) -> str:
    return CAMERAS[number % len(CAMERAS)]


def anomaly(number: int) -> inspection_pb2.Anomaly:
    camera = camera_of(number)
    frame = frames_pb2.FrameId(camera=camera, epoch=1, seq=number)
    return inspection_pb2.Anomaly(
        id=f"anomaly{number:03d}", version=1, inspection=f"{camera}.motion-{number}", camera=camera, score=0.9,
        detector="motion@1", first=frame, peak=frame, last=frame, started_ns=START_NS, peak_ns=START_NS,
    )  # fmt: skip


def expected(channel: str, *cameras: str) -> set[str]:
    return {f"anomaly{one:03d}.1.raise.{channel}" for one in range(ALARMS) if camera_of(one) in cameras}


async def raise_all(stack: InspectionStack) -> None:
    async with Bus(stack.config.nats.url, entry=BusEntry(stack.config.nats)) as bus:
        await bus.wait_connected()
        await bus.ensure_stream()
        for number in range(ALARMS):
            event = anomaly(number)
            await bus.publish(
                anomaly_subject(event.camera), event.SerializeToString(), event_id=event.id, type="trueframe.anomaly"
            )
            await asyncio.sleep(0.08)


async def test_everybody_is_told_what_is_theirs_whatever_goes_away(tmp_path: Path) -> None:
    dice = random.Random(7)
    (tmp_path / "bell").mkdir()
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    post = Post(tmp_path)
    await post.start()
    with receiver() as http, mosquitto(tmp_path / "bell") as broker:
        heard = Listener(broker, "trueframe/alarms")
        text = toml(http, post, broker.port, tmp_path)
        with inspection_stack(tmp_path, "nats", "event_center", toml=text) as stack:
            raising = asyncio.create_task(raise_all(stack))
            for _ in range(KILLS):
                await asyncio.sleep(dice.uniform(0.2, 0.8))
                http.stop()
                await post.stop()
                await asyncio.sleep(dice.uniform(0.2, 0.8))
                stack.event_center.end()
                broker.kill()
                await asyncio.to_thread(stack.event_center.start)
                await asyncio.sleep(dice.uniform(0.2, 0.8))
                http.answers[:] = [503, 429]
                post.answers[:] = ["451 later"]
                http.start()
                await post.start()
                broker.start()
                await asyncio.to_thread(heard.wait)
            await raising
            mails = lambda: {str(one["X-Trueframe-Id"]) for one in post.taken}  # noqa: E731
            await auntil(lambda: expected("hook", *CAMERAS) <= set(http.ids), 60, "the webhook hears of every alarm")
            await auntil(lambda: expected("mail", "gate") <= mails(), 60, "so does the mailbox of the gate")
            with SyncNotificationClient(stack.config.event_center.endpoint, stack.broker.token) as told:
                await auntil(
                    lambda: not told.deliveries(limit=1, progress=[DELIVERY_PROGRESS_PENDING]), 60, "nothing waits"
                )
                decided = {one.id: one for one in told.deliveries(limit=10_000)}
        heard.close()
    await post.stop()
    bell = {one["id"] for one in heard.heard}
    # Nothing else, to nobody else; what came twice came under the same id.
    assert set(http.ids) == expected("hook", *CAMERAS)
    assert mails() == expected("mail", "gate")
    # The broker took all of it; who listens is deaf while it is killed.
    assert bell <= expected("bell", "hall")
    assert expected("bell", "hall") <= {one for one in decided if one.endswith(".bell")}
    assert set(decided) == expected("hook", *CAMERAS) | expected("mail", "gate") | expected("bell", "hall")
