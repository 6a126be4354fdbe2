"""What a serving process looks after: whether a token was revoked, and whether a certificate is about to end.

One task a server. The file of revoked tokens is looked at every half a second, the bus every two; certificates every
minute. What does not belong here: what is done about it (`mesh.interceptor` ends streams, people renew certificates).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from mesh.bus import Bus
from mesh.clocks import SystemClock
from mesh.config import Config
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited
from mesh.metrics import gauge
from mesh.revocation import Revocations
from mesh.revocation_bus import exchange
from mesh.system_events import SystemEvents
from mesh.tls import TlsFiles
from mesh.tokens import Verifier

log = get_logger("mesh.security_watch")

FILE_EVERY_S = 0.5
BUS_EVERY_S = 2.0
CERTIFICATES_EVERY_S = 60.0
CONDITION = "certificate_ends"
_URGENT = timedelta(days=2)
_AGAIN_S = 5.0

_ends = gauge("certificate_ends_seconds", "UTC time at which a certificate of this service ends.", ("certificate",))


class SecurityWatch:
    """Looks after one server. `end_streams` ends those of revoked tokens and says how many."""

    def __init__(
        self,
        config: Config,
        verifier: Verifier,
        files: TlsFiles | None,
        end_streams: Callable[[], int],
        service: str,
    ) -> None:
        self._config = config
        self._revocations = verifier.revocations
        self._files = files
        self._end_streams = end_streams
        self._service = service.rpartition(".")[2]

    async def run(self) -> None:
        """Looks until cancelled; heals by itself, since nobody would notice that revoked tokens are still believed."""
        async with asyncio.TaskGroup() as tasks:
            if self._revocations is not None:
                tasks.create_task(_healing("the file of revoked tokens", partial(self._watch_file, self._revocations)))
            shares = self._config.security.share_revocations and self._revocations is not None
            if shares or self._files is not None:
                tasks.create_task(_healing("the bus", partial(self._watch_with_bus, shares)))

    async def _watch_with_bus(self, shares: bool) -> None:
        async with Bus.from_config(self._config, f"{self._service}-security") as bus, asyncio.TaskGroup() as tasks:
            if shares and self._revocations is not None:
                tasks.create_task(self._watch_bus(bus, self._revocations))
            if self._files is not None:
                told = self._files.ends()["certificate"]
                # By the certificate's name: there may be several brokers, each with one of its own.
                events = SystemEvents(re.sub(r"[^a-z0-9_-]", "-", told.name.lower())[:40], bus, SystemClock())
                tasks.create_task(events.run())
                tasks.create_task(self._watch_certificates(self._files, events))

    async def _watch_file(self, revocations: Revocations) -> None:
        while True:
            if revocations.refresh():
                self._end()
            await asyncio.sleep(FILE_EVERY_S)

    async def _watch_bus(self, bus: Bus, revocations: Revocations) -> None:
        while True:
            try:
                if await exchange(bus, revocations):
                    self._end()
            except TrueframeError as error:
                # What is believed stays believed, and tokens end by themselves: nobody is locked out for this.
                if rate_limited("revocations bus", 60.0):
                    log.warning("revoked tokens are not heard of by the bus", reason=str(error))
            await asyncio.sleep(BUS_EVERY_S)

    def _end(self) -> None:
        if ended := self._end_streams():
            log.info("streams of revoked tokens ended", streams=ended)

    async def _watch_certificates(self, files: TlsFiles, events: SystemEvents) -> None:
        while True:
            self._look_at(files, events, datetime.now(UTC))
            await asyncio.sleep(CERTIFICATES_EVERY_S)

    def _look_at(self, files: TlsFiles, events: SystemEvents, now: datetime) -> None:
        soon = timedelta(days=self._config.security.tls.warn_days)
        found = files.ends()
        for what, told in found.items():
            _ends.labels(what).set(told.ends.timestamp())
        what, first = min(found.items(), key=lambda one: one[1].ends)
        left = first.left(now)
        name = f'certificate of "{first.name}"' if what == "certificate" else f'"{first.name}"'
        events.tell(
            CONDITION,
            holds=left <= soon,
            summary=f"Security: the {name} ends on {first.ends:%Y-%m-%d %H:%M} UTC. Renew it with `trueframe certs`."
            if what == "certificate" or left <= soon
            else "Security: certificates hold.",
            priority=1 if left <= _URGENT else 3,
            facts={"certificate": first.name, "ends_ns": int(first.ends.timestamp()) * 1_000_000_000},
        )


async def _healing(what: str, watch: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await watch()
        except* (TrueframeError, OSError) as errors:
            if rate_limited(f"security watch {what}", 60.0):
                log.error("security is not watched", by=what, reason="; ".join(map(str, errors.exceptions)))
        await asyncio.sleep(_AGAIN_S)
