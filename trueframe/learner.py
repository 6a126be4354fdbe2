"""`python -m trueframe.learner --config FILE`: learns by itself what is normal for each camera of an embedded instance.

A camera with enough footage gets its first model and an inspection by it; later models are made after a day, a week and
then each month, or when scores have drifted, run silently for a while, and speak if the gates let them. An inspection
that somebody stopped stays stopped. Which are due is decided in `retraining`; training is `commands.training`'s affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mesh.config import Config
from mesh.errors import TrueframeError
from mesh.logs import get_logger
from mesh.runner import run_service
from trueframe.client import connect
from trueframe.commands.train_due import promoted, retrained
from trueframe.commands.training import publish, trained
from trueframe.retraining import DETECTOR, beginners, standings

if TYPE_CHECKING:
    from trueframe.client import Client

log = get_logger("trueframe.learner")

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
# Everything else goes first: learning may take the night.
NICENESS = 19
# A camera that nothing could be learnt of, because too little moves there perhaps, is left alone for a while.
RETRY_S = 3600.0


class Learner:
    """Looks round, again and again, at what there is to learn. One thread."""

    def __init__(self, config: Config) -> None:
        self._config = config.learning
        self._data = config.run.data_dir
        self._not_before_s: dict[str, float] = {}

    def look_round(self) -> None:
        """Learns what is due, one camera after the other. One that fails does not keep the others back."""
        with connect(self._data) as tf:
            inspections = [one.inspection for one in tf.inspections.list()]
            for standing in standings(inspections, tf.models.list()):
                camera = standing.inspection.camera
                with self._noting(camera):
                    told = promoted(tf, standing, self._config.trial_s)
                    if not told and self._may_try(camera):
                        told = retrained(tf, standing, standing.max_age_ns / SECOND_NS, 0, is_shown=False)
                    log.debug("looked at a model", inspection=standing.inspection.id, told=told)
            cameras = [camera.spec.id for camera in tf.broker.list_cameras()]
            for camera in beginners(cameras, inspections):
                if self._may_try(camera):
                    with self._noting(camera):
                        self._begin(tf, camera)

    def _begin(self, tf: Client, camera: str) -> None:
        """A first model of a camera, and an inspection by it, once there is enough footage."""
        from aggregate.client import Inspection

        now_ns = time.time_ns()
        spans = tf.footage.recordings([camera], now_ns - DAY_NS, now_ns).recordings
        if sum(span.last_ns - span.first_ns for span in spans) < self._config.first_after_s * SECOND_NS:
            return
        made = trained(tf, camera, now_ns - DAY_NS, now_ns, 0, like=None, is_shown=False)
        told = publish(tf, made)
        tf.inspections.put(
            Inspection(
                id=f"{camera}.{DETECTOR}",
                camera=camera,
                detector=DETECTOR,
                max_fps=self._config.fps,
                # A model's own threshold is passed by one in fifty ordinary frames.
                false_alarms_per_hour=self._config.false_alarms_per_hour,
            )
        )
        log.info("learnt what is normal", camera=camera, frames=made.pictures, told=told.sentence)

    def _may_try(self, camera: str) -> bool:
        return time.monotonic() >= self._not_before_s.get(camera, 0.0)

    @contextlib.contextmanager
    def _noting(self, camera: str) -> Iterator[None]:
        try:
            yield
        except TrueframeError as error:
            self._not_before_s[camera] = time.monotonic() + RETRY_S
            log.info("not learnt yet", camera=camera, reason=str(error))


async def main(config: Config) -> None:
    """Learns until it is cancelled."""
    os.nice(NICENESS)
    learner, loop = Learner(config), asyncio.get_running_loop()
    while True:
        await asyncio.sleep(config.learning.check_s)
        done: asyncio.Future[None] = loop.create_future()
        threading.Thread(target=_round, args=(learner, loop, done), name="learning", daemon=True).start()
        await done


def _round(learner: Learner, loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    try:
        learner.look_round()
    except TrueframeError as error:
        log.warning("nothing can be learnt now", reason=str(error))
    except Exception as error:
        log.exception("learning failed", error=str(error))
    finally:
        # The loop may have ended meanwhile: a daemon thread is not waited for.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_finish, done)


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


if __name__ == "__main__":
    run_service(main)
