"""How a message reads, and the picture that goes along."""

from __future__ import annotations

import io
import json
from zoneinfo import ZoneInfo

from PIL import Image

from event_center.event import Box
from event_center.notifications import forms
from event_center.notifications.delivery import Content
from event_center.notifications.mail import message_of
from event_center.notifications.outlet import Parcel
from event_center.notifications.still import drawn
from mesh.config_notifications import NotificationChannel

UTC = ZoneInfo("UTC")
NASTY = 'Motion <script>alert("x")</script> & @everyone\r\nBcc: all@example.org'


def parcel(**fields: object) -> Parcel:
    content = Content(**({"occasion": "raise", "summary": NASTY, "priority": 1, "camera": "yard"} | fields))  # type: ignore[arg-type]
    return Parcel("a1.1.raise.mail", content, 1_767_614_400_000_000_000, None, "without its picture: no footage")


def test_what_comes_from_outside_is_escaped_in_every_form() -> None:
    html = forms.html_of(parcel(), UTC, "cid:x")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<script>" not in forms.slack_json(parcel(), UTC).decode()
    discord = json.loads(forms.discord_json(parcel(), UTC))
    assert discord["allowed_mentions"] == {"parse": []}
    channel = NotificationChannel("m", "email", sender="a@example.org", recipients=("b@example.org",))
    mail = message_of(parcel(), channel, UTC)
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[P1] Alarm: Motion <script>")


def test_a_message_without_its_picture_says_so() -> None:
    said = "without its picture: no footage"
    assert said in forms.text_of(parcel(), UTC)
    assert said in forms.html_of(parcel(), UTC, "cid:x")
    assert json.loads(forms.plain_json(parcel()))["without_still"] == said
    assert said in json.loads(forms.discord_json(parcel(), UTC))["embeds"][0]["description"]


def test_a_digest_lists_what_it_stands_for() -> None:
    digest = parcel(occasion="digest", summary="a, and 12 more", count=13, lines=("a", "b"))
    text = forms.text_of(digest, UTC)
    assert text.startswith("a, and 12 more\n\na\nb\n... and 11 more\n")
    assert json.loads(forms.plain_json(digest))["count"] == 13


def test_the_box_is_drawn_on_the_still() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (200, 100), (0, 0, 0)).save(buffer, "PNG")
    still = drawn(buffer.getvalue(), (Box(0.25, 0.5, 0.5, 0.25, "", 0.0),))
    with Image.open(io.BytesIO(still.jpeg)) as picture:
        red, green, _ = picture.getpixel((100, 50))  # type: ignore[misc]
        assert red > 150 > green + 50
        assert max(picture.getpixel((100, 62))) < 40  # type: ignore[arg-type]
