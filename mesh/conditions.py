"""What ails a part of trueframe, as that part tells the bus: the subject, the type and the form of the message.

Subject `trueframe.system.<service>`, CloudEvents type `trueframe.system.condition`, payload JSON:

    {"service": "broker", "condition": "ring_memory", "camera": "", "holds": true, "since_ns": …, "priority": 3,
     "summary": "Broker: …", …further facts}

One condition of one camera (or of none) of one service is one thing: it holds from one message on and is over from
another one on. What does not belong here: deciding that something ails, and sending (both are the service's own).
"""

from __future__ import annotations

import json
import re

from mesh.errors import InvalidArgument

CONDITION_TYPE = "trueframe.system.condition"
_WORD = re.compile(r"[a-z0-9_-]{1,40}")


def system_subject(service: str) -> str:
    """Subject of the conditions of a service. Raises InvalidArgument."""
    if not _WORD.fullmatch(service):
        raise InvalidArgument(f"service {service[:40]!r}", "is no word of small letters, digits, - and _")
    return f"trueframe.system.{service}"


def condition_payload(
    service: str,
    condition: str,
    *,
    holds: bool,
    since_ns: int,
    summary: str,
    camera: str = "",
    priority: int = 3,
    facts: dict[str, object] | None = None,
) -> bytes:
    """The message. `summary`: a sentence for an operator; `facts`: JSON for programs. Raises InvalidArgument."""
    if not _WORD.fullmatch(condition):
        raise InvalidArgument(f"condition {condition[:40]!r}", "is no word of small letters, digits, - and _")
    body: dict[str, object] = {
        "service": service,
        "condition": condition,
        "camera": camera,
        "holds": holds,
        "since_ns": since_ns,
        "priority": priority,
        "summary": summary,
    }
    return json.dumps((facts or {}) | body, ensure_ascii=False).encode()
