"""How a message reads: as text, as HTML, as JSON, and as Discord and Slack want it. Pure.

Everything that came from outside (names of cameras and regions, summaries) is escaped for where it goes.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

from event_center.notifications.delivery import Content
from event_center.notifications.outlet import Parcel

_COLOURS = {1: 0xC62828, 2: 0xEF6C00, 3: 0xF9A825, 4: 0x546E7A}
_OVER = 0x2E7D32
STILL_NAME = "still.jpg"


def subject_of(content: Content) -> str:
    """One line, without line breaks."""
    priority = f"[P{content.priority}] " if content.priority else ""
    return f"{priority}{' '.join(content.title.split())}"[:200]


def rows_of(content: Content, zone: tzinfo) -> Iterator[tuple[str, str]]:
    """What there is to say beside the title, as names and values."""
    if content.camera:
        yield "Camera", content.camera
    if content.regions:
        yield "Region", ", ".join(content.regions)
    if content.group and content.group != content.camera:
        yield "Group", content.group
    if content.priority:
        yield "Priority", str(content.priority)
    if content.detector:
        yield "Detector", content.detector
    if content.state:
        yield "State", content.state.replace("_", ", ")
    if content.started_ns:
        yield "Began", _time(content.started_ns, zone)
    if content.ended_ns:
        yield "Ended", _time(content.ended_ns, zone)
    if content.score:
        yield "Score", f"{content.score:.2f}"
    if content.event:
        yield "Event", content.event
    if content.frame:
        yield "Frame", content.frame


def text_of(parcel: Parcel, zone: tzinfo) -> str:
    """The whole message as plain text."""
    content = parcel.content
    lines = [content.title, "", *content.lines]
    lines += [f"... and {content.count - len(content.lines)} more"] * (content.count > len(content.lines) > 0)
    lines += [f"{name}: {value}" for name, value in rows_of(content, zone)]
    lines += [f"({parcel.without})"] * bool(parcel.without)
    return "\n".join(lines).strip() + "\n"


def html_of(parcel: Parcel, zone: tzinfo, still_address: str) -> str:
    """The whole message as HTML; the still stands under `still_address`."""
    content = parcel.content
    rows = "".join(
        f'<tr><td style="color:#666;padding-right:1em">{html.escape(name)}</td><td>{html.escape(value)}</td></tr>'
        for name, value in rows_of(content, zone)
    )
    items = "".join(f"<li>{html.escape(line)}</li>" for line in content.lines)
    if content.count > len(content.lines) > 0:
        items += f"<li>and {content.count - len(content.lines)} more</li>"
    picture = f'<p><img src="{still_address}" alt="The frame of the alarm" style="max-width:100%"></p>'
    return (
        f"<!doctype html><html><body><h2>{html.escape(content.title)}</h2>"
        f"{f'<ul>{items}</ul>' if items else ''}{picture if parcel.still else ''}<table>{rows}</table>"
        f"{f'<p>({html.escape(parcel.without)})</p>' if parcel.without else ''}</body></html>"
    )


def record_of(parcel: Parcel) -> dict[str, Any]:
    """The message for programs, without the still."""
    content = parcel.content
    plain = {
        "id": parcel.id, "occasion": content.occasion, "title": content.title, "summary": content.summary,
        "event": content.event, "version": content.version, "kind": content.kind, "camera": content.camera,
        "group": content.group, "regions": list(content.regions), "detector": content.detector,
        "priority": content.priority, "state": content.state, "score": content.score,
        "started_ns": content.started_ns, "ended_ns": content.ended_ns, "at_ns": content.at_ns,
        "sent_ns": parcel.sent_ns, "frame": content.frame,
        "boxes": [dict(zip(("x", "y", "width", "height", "label", "score"), box, strict=True))
                  for box in content.boxes],
    }  # fmt: skip
    if content.count:
        plain |= {"count": content.count, "lines": list(content.lines)}
    return plain | ({"without_still": parcel.without} if parcel.without else {})


def plain_json(parcel: Parcel) -> bytes:
    """The message for programs, with the still as base64."""
    record = record_of(parcel)
    if parcel.still is not None:
        record["still"] = {"media_type": "image/jpeg", "base64": base64.b64encode(parcel.still.jpeg).decode()}
    return json.dumps(record, ensure_ascii=False).encode()


def discord_json(parcel: Parcel, zone: tzinfo) -> bytes:
    """What Discord's webhooks take as `payload_json`: one embed, and nobody is pinged by what a camera is called."""
    content = parcel.content
    lines = "\n".join(content.lines)
    about = "\n".join(filter(None, (lines, f"({parcel.without})" if parcel.without else "")))
    embed: dict[str, Any] = {
        "title": subject_of(content)[:256],
        "color": _OVER if content.occasion == "return" else _COLOURS.get(content.priority, _COLOURS[4]),
        "fields": [
            {"name": name, "value": value[:1024], "inline": True} for name, value in rows_of(content, zone)
        ],
    }  # fmt: skip
    if about:
        embed["description"] = about[:4000]
    if content.at_ns:
        embed["timestamp"] = datetime.fromtimestamp(content.at_ns / 1e9, UTC).isoformat()
    if parcel.still is not None:
        embed["image"] = {"url": f"attachment://{STILL_NAME}"}
    body: dict[str, Any] = {"embeds": [embed], "allowed_mentions": {"parse": []}}
    return json.dumps(body, ensure_ascii=False).encode()


def slack_json(parcel: Parcel, zone: tzinfo) -> bytes:
    """What Slack's incoming webhooks take: blocks, and a text for where blocks are not shown. They take no files."""
    content = parcel.content
    fields = [f"*{name}:* {_slack(value)}" for name, value in rows_of(content, zone)][:10]
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_slack(subject_of(content))}*"}}
    ]
    if content.lines:
        lines = "\n".join(f"• {_slack(line)}" for line in content.lines)
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": lines[:2900]}})
    if fields:
        blocks.append({"type": "section", "fields": [{"type": "mrkdwn", "text": one[:2000]} for one in fields]})
    return json.dumps({"text": _slack(subject_of(content)), "blocks": blocks}, ensure_ascii=False).encode()


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(at_ns: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
