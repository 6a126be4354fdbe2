"""Requests as an audit log tells them: what they name and say, without secrets and payloads. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from google.protobuf.message import Message

from mesh.redact import HIDDEN, redact, redact_url

_NAMING = ("camera", "cameras", "id", "ids", "event", "event_id", "event_ids", "case_id", "inspection", "model")
_SECRET = re.compile(r"pass|secret|token|credential|private", re.IGNORECASE)
_DEEPEST = 6
_MOST_ITEMS = 20
_MAX_STRING = 200
_MAX_OBJECT = 300


def said(request: Any) -> str:
    """A request as JSON: empty fields left out, passwords hidden, bytes counted, long lists cut. "" if it is none."""
    if not isinstance(request, Message):
        return ""
    return json.dumps(_plain(request, 0), ensure_ascii=False, sort_keys=True)


def object_of(request: Any) -> str:
    """What a request is about: the ids that it names, separated by spaces."""
    found: list[str] = []
    if isinstance(request, Message):
        _names(request, found, 0)
    return " ".join(dict.fromkeys(found))[:_MAX_OBJECT]


def _names(message: Message, found: list[str], depth: int) -> None:
    fields = {field.name: value for field, value in message.ListFields()}
    if "camera" in fields and "epoch" in fields:  # a frame
        found.append(f"{fields['camera']}/{fields['epoch']}/{fields.get('seq', 0)}")
        return
    for name, value in fields.items():
        for one in _items(value)[:_MOST_ITEMS]:
            if isinstance(one, Message):
                if depth < 3:
                    _names(one, found, depth + 1)
            elif name in _NAMING and isinstance(one, str):
                found.append(redact(one))


def _plain(value: Any, depth: int, name: str = "") -> Any:
    if isinstance(value, Message):
        if depth >= _DEEPEST:
            return "…"
        told: dict[str, Any] = {}
        for field, one in value.ListFields():
            if _SECRET.search(field.name):
                told[field.name] = HIDDEN
            elif field.message_type is not None and field.message_type.GetOptions().map_entry:
                told[field.name] = {
                    str(key): HIDDEN if _SECRET.search(str(key)) else _plain(one[key], depth + 1, field.name)
                    for key in list(one)[:_MOST_ITEMS]
                }
            elif field.is_repeated:
                told[field.name] = [_plain(item, depth + 1, field.name) for item in _items(one)[:_MOST_ITEMS]]
            else:
                told[field.name] = _plain(one, depth + 1, field.name)
        return told
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return redact(redact_url(value))[:_MAX_STRING]
    return value


def _items(value: Any) -> list[Any]:
    return [value] if isinstance(value, Message | str | bytes | int | float) else list(value)
