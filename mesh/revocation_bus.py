"""The list of revoked tokens on the bus: the newest one lies in a stream of its own, where every service looks for it.

What does not belong here: what the list says and whether it is believed (`mesh.revocation`).
"""

from __future__ import annotations

import nats.errors
import nats.js.errors

from mesh.bus import Bus
from mesh.errors import TrueframeError, Unavailable
from mesh.ids import new_event_id
from mesh.revocation import Revocations

STREAM = "TRUEFRAME_SECURITY"
SUBJECT = "trueframe.security.revocations"
TYPE = "trueframe.security.revocations"
_FOR_EVER = 0.0
_STREAM_BYTES = 64 << 20


async def newest(bus: Bus) -> str:
    """The newest list of the bus; empty without one. Raises Unavailable."""
    if not bus.connected:
        raise Unavailable("bus", "is not connected", "It is tried again by itself.")
    try:
        message = await bus.client.jetstream().get_last_msg(STREAM, SUBJECT)
    except nats.js.errors.NotFoundError:
        return ""
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable("bus", f"{type(error).__name__}", "It is tried again by itself.") from None
    return (message.data or b"").decode(errors="replace")


async def publish(bus: Bus, text: str) -> None:
    """Puts a list where every service looks. Raises Unavailable."""
    await bus.ensure_stream(STREAM, (SUBJECT,), max_age_s=_FOR_EVER, max_bytes=_STREAM_BYTES)
    await bus.publish(SUBJECT, text.encode(), event_id=new_event_id(), type=TYPE)


async def exchange(bus: Bus, revocations: Revocations) -> bool:
    """Takes the bus's list if it is newer, gives ours if that is; whether something new is believed.

    So a bus that lost its storage gets the list back from whoever has it. Raises Unavailable.
    """
    text = await newest(bus)
    is_news = bool(text) and text != revocations.text and revocations.take(text, "bus")
    if revocations.text and text != revocations.text and not is_news:
        try:
            await publish(bus, revocations.text)
        except TrueframeError as error:
            raise Unavailable("bus", error.reason) from None
    return is_news
