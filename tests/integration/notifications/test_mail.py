"""E-mail against a real SMTP server with TLS and login: away, restarted, refusing for now and for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.config_notifications import NotificationChannel
from tests.notified import JPEG, Notified, config, notified
from tests.post_office import PASSWORD, Post
from tests.support import auntil

# The server does not see that the connection is encrypted from its first byte.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    one = Post(tmp_path)
    await one.start()
    yield one
    await one.stop()


def letter(post: Post, **fields: object) -> NotificationChannel:
    (post.folder / "password").write_text(PASSWORD)
    (post.folder / "password").chmod(0o600)
    settings: dict[str, object] = {
        "host": "localhost", "port": post.port, "security": "tls" if post.is_tls else "starttls",
        "ca_file": post.folder / "ca.pem", "user": "trueframe", "secret_file": post.folder / "password",
        "sender": "trueframe@example.org", "recipients": ("duty@example.org",), "longest_wait_s": 0.1, "timeout_s": 5.0,
    }  # fmt: skip
    return NotificationChannel("mail", "email", **(settings | fields))  # type: ignore[arg-type]


async def _ended(site: Notified, progress: str) -> bool:
    found = await site.progress()
    return bool(found) and set(found) == {progress}


@pytest.mark.parametrize("is_tls", [False, True], ids=["starttls", "tls"])
async def test_a_mail_has_text_html_and_the_still_inside(is_tls: bool, tmp_path: Path) -> None:
    post = Post(tmp_path, is_tls)
    await post.start()
    try:
        async with notified(tmp_path, config(letter(post))) as site:
            await site.raise_alarm(1)
            await auntil(lambda: post.taken, what="it comes")
    finally:
        await post.stop()
    [mail] = post.taken
    assert mail["Subject"] == "[P2] Alarm: Motion in door on yard"
    assert mail["Message-ID"] == "<a00001.1.raise.mail@example.org>"
    assert post.recipients == [["duty@example.org"]]
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "Camera: yard" in text.get_content()
    [picture] = [part for part in mail.walk() if part.get_content_type() == "image/jpeg"]
    assert picture.get_content() == JPEG
    assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in html.get_content()


async def test_a_mail_server_that_is_away_or_busy_gets_every_alarm_later(post: Post, tmp_path: Path) -> None:
    await post.stop()
    async with notified(tmp_path, config(letter(post))) as site:
        for number in range(3):
            await site.raise_alarm(number)
        await auntil(lambda: site.conditions.holds("channel_mail"), what="the channel is an alarm")
    post.answers[:] = ["451 try again later", "421 too busy"]
    await post.start()
    async with notified(tmp_path, config(letter(post))) as site:
        await auntil(lambda: len(post.taken) == 3, what="every alarm is told")
        await auntil(lambda: _ended(site, "sent"), what="all is known to be told")
    assert sorted(mail["X-Trueframe-Id"] for mail in post.taken) == [f"a{one:05d}.1.raise.mail" for one in range(3)]


async def test_what_the_server_refuses_for_good_is_not_sent_again(post: Post, tmp_path: Path) -> None:
    post.answers[:] = ["554 looks like spam"]
    async with notified(tmp_path, config(letter(post))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _ended(site, "refused"), what="it is refused")
        [one] = await site.deliveries()
        assert (one.attempts, one.reason) == (1, "localhost does not take the mail (554)")


async def test_a_recipient_who_is_not_wanted_is_named_and_the_others_are_told(post: Post, tmp_path: Path) -> None:
    channel = letter(post, recipients=("duty@example.org", "nobody@example.org"))
    async with notified(tmp_path, config(channel)) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _ended(site, "sent"), what="it comes")
        assert (await site.deliveries())[0].reason == "localhost did not want nobody@example.org"
    assert post.recipients == [["duty@example.org"]]


async def test_who_is_put_off_gets_it_later_and_the_others_only_once(post: Post, tmp_path: Path) -> None:
    post.greylists = 2
    channel = letter(post, recipients=("duty@example.org", "grey@example.org", "nobody@example.org"))
    async with notified(tmp_path, config(channel)) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _ended(site, "sent"), what="all have it")
        [one] = await site.deliveries()
        assert (one.attempts, one.reason) == (3, "localhost did not want nobody@example.org")
    assert post.recipients == [["duty@example.org"], ["grey@example.org"]]


async def test_a_wrong_password_or_an_unknown_certificate_is_tried_again_once_it_is_right(
    post: Post, tmp_path: Path
) -> None:
    post.password = "changed"
    channel = letter(post)
    async with notified(tmp_path, config(channel)) as site:
        await site.raise_alarm(1)
        await auntil(lambda: site.conditions.holds("channel_mail"), what="it is an alarm")
        assert "does not let us in (535)" in (await site.deliveries())[0].reason
        (tmp_path / "password").write_text("changed")
        await auntil(lambda: post.taken, what="it is told with the new password")
    async with notified(tmp_path, config(letter(post, ca_file=None, secret_file=tmp_path / "password"))) as site:
        (tmp_path / "password").write_text("changed")
        await site.raise_alarm(2)
        await auntil(lambda: site.conditions.holds("channel_mail"), what="it is an alarm")
        assert "certificate is not believed" in (await site.deliveries())[-1].reason
    assert len(post.taken) == 1
