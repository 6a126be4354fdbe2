"""`python -m trueframe.headless`: a running instance as lines: one status a second, each event, a summary.

What should not be in this module: starting anything.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time

from mesh.channel import Credentials
from mesh.errors import TrueframeError
from mesh.process import die_with_parent
from trueframe.alarms import EventSight
from trueframe.feeds import Feeds
from trueframe.running import find_running
from trueframe.situation import SERVICE_NAMES, CameraSight, Situation
from trueframe.times import show_duration, show_time

SECOND_NS = 1_000_000_000


class Printer:
    """Says what there is to say, a line each. `say` gets complete lines without their end."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.anomalies = 0
        self.events = 0
        self.started_ns = time.time_ns()
        self._frames_before: dict[str, tuple[int, int]] = {}

    def say(self, text: str) -> None:
        """Prints at once, so that a pipe sees it too."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def event(self, now: EventSight, before: EventSight | None) -> None:
        """An event began, or ended."""
        is_old = now.started_ns < self.started_ns and before is None and now.ended_ns
        if is_old:
            return
        if before is None:
            self.events += 1
            self.anomalies += now.kind == "anomaly"
            self.say(event_line("EVENT", now, now.started_ns))
        elif now.ended_ns and not before.ended_ns:
            self.say(event_line("ended", now, now.ended_ns))

    def camera(self, now: CameraSight, before: CameraSight | None) -> None:
        """A camera changed its state."""
        if before is not None and before.state == now.state:
            return
        if now.state == "disabled" and before is None:
            return
        detail = f"  {now.detail}" if now.detail else ""
        self.say(f"{show_time(now.since_ns or time.time_ns())}  camera  {now.id}  {now.state}{detail}")

    def link(self, service: str, is_up: bool) -> None:
        """A service went or came."""
        name = SERVICE_NAMES[service]
        text = f"{name} answers" if is_up else f"{name} does not answer"
        self.say(f"{show_time(time.time_ns())}  {'service' if is_up else 'ALARM'}  {text}")

    def status(self) -> str:
        """The line of this second."""
        s = self.situation
        now_ns = time.time_ns()
        age = s.frame_age_ns()
        parts = [
            show_time(now_ns),
            f"cameras {s.live_count}/{len(s.wanted_cameras)} live",
            f"fps {sum(c.frame_rate for c in s.cameras.values() if c.is_live):.1f}",
            f"frames {self.frames}",
            f"recorded {s.recorded_when_listed}",
            f"events {self.events}",
            f"lag {age / SECOND_NS:.2f} s" if age is not None else "lag -",
        ]
        if s.down:
            parts.append("ALARM no answer: " + ", ".join(SERVICE_NAMES[link.service] for link in s.down))
        return "  ".join(parts)

    @property
    def frames(self) -> int:
        """Frames that the broker has minted, as far as it tells; a broker started again counts from 0."""
        total = 0
        for camera in self.situation.cameras.values():
            base, last = self._frames_before.get(camera.id, (0, 0))
            if camera.frames < last:
                base += last
            self._frames_before[camera.id] = (base, camera.frames)
            total += base + camera.frames
        return total

    def summary(self) -> str:
        """The last line."""
        s = self.situation
        cameras = s.wanted_cameras
        return (
            f"summary: {show_duration((time.time_ns() - self.started_ns) / SECOND_NS)}, "
            f"{s.ever_live} of {len(cameras)} cameras were live, {self.frames} frames "
            f"({sum(c.damaged_frames for c in cameras)} damaged, {sum(c.network_gaps for c in cameras)} network gaps), "
            f"{s.recorded_when_listed} recorded, {self.events} events ({self.anomalies} anomalies)"
        )


def event_line(word: str, event: EventSight, moment_ns: int) -> str:
    """Time with zone, camera, what, score, frame id."""
    frame = event.peak or event.first
    score = f"  score {event.score:.2f}" if event.score else ""
    return (
        f"{show_time(moment_ns)}  {word}  {event.camera or '-'}  {event.detector or event.kind}  {event.summary}"
        f"{score}  {frame if frame else '-'}"
    )


async def show(data: str, duration_s: float | None) -> int:
    """Prints until it is told to end; returns the exit code: 0, or 1 if no camera was ever live."""
    running = find_running(data)
    situation = Situation(running.started_ns)
    printer = Printer(situation)
    feeds = Feeds(running.endpoints, Credentials.from_file(running.token_file), situation)
    feeds.on_camera, feeds.on_event = printer.camera, printer.event
    said_down: set[str] = set()

    def link(service: str, is_up: bool) -> None:
        if is_up and service not in said_down:
            return
        (said_down.discard if is_up else said_down.add)(service)
        printer.link(service, is_up)

    feeds.on_link = link
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ending.set)
    if duration_s is not None:
        loop.call_later(duration_s, ending.set)
    fed = asyncio.create_task(feeds.run(since_ns=printer.started_ns))
    next_line = loop.time() + 1.0
    while not ending.is_set() and not fed.done():
        try:
            async with asyncio.timeout_at(next_line):
                await ending.wait()
        except TimeoutError:
            printer.say(printer.status())
            next_line = max(next_line + 1.0, loop.time())
    if fed.done() and not fed.cancelled() and (error := fed.exception()):
        raise error
    printer.say(printer.summary())
    fed.cancel()
    await asyncio.gather(fed, return_exceptions=True)
    return 0 if situation.ever_live else 1


def main() -> None:
    """The process."""
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m trueframe.headless", description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--for", dest="duration_s", type=float)
    arguments = parser.parse_args()
    try:
        sys.exit(asyncio.run(show(arguments.data, arguments.duration_s)))
    except TrueframeError as error:
        sys.stderr.write(f"trueframe: {error}\n")
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)


if __name__ == "__main__":
    main()
