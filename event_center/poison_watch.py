"""Messages that lie aside are an alarm of their own: the event center counts those of all services, and tells.

What does not belong here: setting aside (`mesh.bus_poison`), and the alarm itself, which comes over the bus like any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mesh.bus import Bus
from mesh.bus_poison import counts
from mesh.cancellation import honour_cancellation
from mesh.errors import TrueframeError
from mesh.logs import get_logger
from mesh.metrics import gauge
from mesh.system_events import SystemEvents

log = get_logger("event_center.poison_watch")

EVERY_S = 5.0
CONDITION = "poison_messages"
# Conditions that cannot be taken are no reason to tell of one more: that would go on for ever.
_OWN = "event-center-conditions"

_aside = gauge("bus_poison_messages", "Messages that lie aside because a reader could not take them.")


async def watch_poison(bus: Bus, events: SystemEvents) -> None:
    """Counts, for ever. A bus that is away is waited for."""
    told: tuple[bool, Mapping[str, int]] | None = None
    while True:
        honour_cancellation()
        try:
            found = await counts(bus) if bus.connected else None
        except TrueframeError as error:
            log.debug("messages set aside cannot be counted", reason=str(error))
            found = None
        if found is not None:
            _aside.set(sum(found.values()))
            others = {reader: count for reader, count in found.items() if reader != _OWN}
            if (bool(found), others) != told:
                events.tell(CONDITION, holds=bool(found), summary=_sentence(found), facts={"readers": found}, anew=True)
                told = bool(found), others
        await asyncio.sleep(EVERY_S)


def _sentence(found: Mapping[str, int]) -> str:
    if not found:
        return "No message lies aside."
    number = sum(found.values())
    return (
        f"{number} {'message' if number == 1 else 'messages'} could not be taken and "
        f"{'lies' if number == 1 else 'lie'} aside ({', '.join(f'{reader}: {n}' for reader, n in found.items())}). "
        "`trueframe bus poison list` says why; then retry or drop them."
    )
