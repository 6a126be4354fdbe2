"""Labels of cameras, asked of the broker: groups of alarms may be meant by them.

Only where a configured group names a label. Until the broker answers, and while it does not, what was told last counts.
"""

from __future__ import annotations

import asyncio

from broker.client import BrokerClient
from event_center.desk import Desk
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited

log = get_logger("event_center.camera_labels")

EVERY_S = 10.0


async def follow_labels(broker: BrokerClient, desk: Desk) -> None:
    """Keeps the labels of a desk true, for ever."""
    while True:
        try:
            desk.labels = {one.spec.id: dict(one.spec.labels) for one in await broker.list_cameras()}
        except TrueframeError as error:
            if rate_limited("camera labels", 60.0):
                log.info("the broker does not tell labels of cameras", reason=str(error))
        await asyncio.sleep(EVERY_S)
