"""A command as a channel: a program without a shell, the message as JSON on its standard input and in its environment.

It ends with 0 once it has done its work. 64, 65, 77, 126 and 127 (usage, data, no permission, not executable, not
found) say that trying again is in vain; anything else, and running out of time, is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping

from event_center.notifications.delivery import Content
from event_center.notifications.errors import Deferred, Refused
from event_center.notifications.forms import plain_json
from event_center.notifications.outlet import Parcel
from mesh.config_notifications import NotificationChannel
from mesh.logs import get_logger
from mesh.redact import redact

log = get_logger("event_center.notifications")

MAX_OUTPUT_BYTES = 4096
_IN_VAIN = frozenset({64, 65, 77, 126, 127})
# What a program needs to run; nothing of trueframe's own environment, which may hold secrets.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class Program:
    """Carries by running a program."""

    carries_stills = True

    def __init__(self, channel: NotificationChannel) -> None:
        self._channel = channel

    async def carry(self, parcel: Parcel) -> str:
        """Runs it once. Returns what it wrote. Raises Refused, Deferred. Cancelled, it ends the program."""
        argv = self._channel.argv
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                env=environment(parcel, os.environ), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Deferred(f"{argv[0]} cannot be run ({error.strerror})") from None
        try:
            async with asyncio.timeout(self._channel.timeout_s):
                _, output = await asyncio.gather(_feed(process, plain_json(parcel)), _read(process))
                code = await process.wait()
        except TimeoutError:
            raise Deferred(f"{argv[0]} did not end within {self._channel.timeout_s:g} s") from None
        finally:
            await _ended(process)
        # What it wrote is shown in terminals, which it must not steer.
        words = "".join(one if one.isprintable() else " " for one in output.decode(errors="replace")).split()
        text = redact(" ".join(words))
        log.info("a notification command ended", channel=self._channel.id, code=code, output=text[:1000])
        if code:
            said = f"{argv[0]} ended with {code}" + (f": {text[:200]}" if text else "")
            raise Refused(said) if code in _IN_VAIN else Deferred(said)
        return text[:200]


def environment(parcel: Parcel, inherited: Mapping[str, str]) -> dict[str, str]:
    """What the program finds in its environment."""
    content = parcel.content
    fields = {
        "ID": parcel.id, "OCCASION": content.occasion, "TITLE": content.title, "SUMMARY": content.summary,
        "EVENT": content.event, "CAMERA": content.camera, "GROUP": content.group, "KIND": content.kind,
        "DETECTOR": content.detector, "REGIONS": ",".join(content.regions), "PRIORITY": str(content.priority),
        "STATE": content.state, "STARTED_NS": str(content.started_ns), "FRAME": content.frame,
        "COUNT": _count(content),
    }  # fmt: skip
    kept = {name: inherited[name] for name in _PASSED_ON if name in inherited}
    return kept | {f"TRUEFRAME_{name}": value.replace("\0", "") for name, value in fields.items()}


def _count(content: Content) -> str:
    return str(content.count or 1)


async def _feed(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    # A program that does not read its input is none the worse for it.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    with contextlib.suppress(OSError):
        process.stdin.close()


async def _read(process: Process) -> bytes:
    """The beginning of what it writes; the rest is read and thrown away, so that it is not held up."""
    assert process.stdout is not None
    kept = b""
    while data := await process.stdout.read(65_536):
        kept += data[: MAX_OUTPUT_BYTES - len(kept)]
    return kept


async def _ended(process: Process) -> None:
    """Ends it with all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
