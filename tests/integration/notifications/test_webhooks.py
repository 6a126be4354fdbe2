"""Webhooks against a real HTTP server: signed, at least once with stable ids, through outages and restarts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.config_notifications import NotificationChannel, NotificationRule
from tests.notified import JPEG, Receiver, config, notified, receiver
from tests.support import auntil

SECRET = "under-the-doormat"


@pytest.fixture
def http() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


def hook(http: Receiver, channel_id: str = "duty", **fields: object) -> NotificationChannel:
    settings = {"longest_wait_s": 0.1, "timeout_s": 2.0, "allow_private": True} | fields
    return NotificationChannel(channel_id, "webhook", http.url, **settings)  # type: ignore[arg-type]


async def test_an_alarm_is_posted_signed_with_its_still(http: Receiver, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    async with notified(tmp_path, config(hook(http, secret_file=secret))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: http.posted, what="it is posted")
    posted = http.posted[0]
    assert posted.headers["Trueframe-Id"] == "a00001.1.raise.duty" == posted.json["id"]
    # As the guide's verifier does it.
    stamp = posted.headers["Trueframe-Timestamp"]
    expected = hmac.new(SECRET.encode(), stamp.encode() + b"." + posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["Trueframe-Signature"] == f"v1={expected}"
    assert (posted.json["camera"], posted.json["priority"], posted.json["regions"]) == ("yard", 2, ["door"])
    assert base64.b64decode(posted.json["still"]["base64"]) == JPEG


async def test_a_server_that_is_away_gets_every_alarm_once_it_is_back(http: Receiver, tmp_path: Path) -> None:
    http.stop()
    async with notified(tmp_path, config(hook(http))) as site:
        for number in range(5):
            await site.raise_alarm(number)
        await auntil(lambda: site.conditions.holds("channel_duty"), what="the channel is an alarm")
        http.start()
        await auntil(lambda: len(set(http.ids)) == 5, what="every alarm is told")
        await auntil(lambda: not site.conditions.holds("channel_duty"), what="the alarm of the channel returns")
        assert set(http.ids) == {f"a{number:05d}.1.raise.duty" for number in range(5)}
        assert len(http.ids) == 5


async def test_a_killed_event_center_goes_on_with_the_same_ids(http: Receiver, tmp_path: Path) -> None:
    http.stop()
    async with notified(tmp_path, config(hook(http))) as site:
        await site.raise_alarm(1)
        await auntil(site.deliveries, what="it is decided")
    # Stored, and nobody who notifies was there to see it.
    async with notified(tmp_path, config(hook(http), rules=[])) as site:
        await site.raise_alarm(2)
        assert len(await site.deliveries()) == 1
    http.start()
    async with notified(tmp_path, config(hook(http))) as site:
        await auntil(lambda: len(set(http.ids)) == 2, what="both are told")
        assert sorted(http.ids) == ["a00001.1.raise.duty", "a00002.1.raise.duty"]
        await auntil(lambda: _all(site, "sent"), what="both are known to be told")
    async with notified(tmp_path, config(hook(http))) as site:
        await site.raise_alarm(3)
        await auntil(lambda: "a00003.1.raise.duty" in http.ids, what="the third is told")
    assert len(http.ids) == 3, "what was told before a restart is not told again after it"


async def _all(site: object, progress: str) -> bool:
    found = await site.progress()  # type: ignore[attr-defined]
    return bool(found) and set(found) == {progress}


async def test_an_answer_of_5xx_and_429_is_tried_again_and_one_of_400_is_not(http: Receiver, tmp_path: Path) -> None:
    http.answers[:] = [503, 429, 401, 400]
    http.headers["Retry-After"] = "0.05"
    async with notified(tmp_path, config(hook(http))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _all(site, "refused"), what="it is refused")
        assert len(http.refused) == 4
        assert site.conditions.holds("channel_duty")
        [one] = await site.deliveries()
        assert (one.attempts, one.reason) == (4, "127.0.0.1 answered 400")
        await site.raise_alarm(2)
        await auntil(lambda: http.posted, what="the next is told")
        await auntil(lambda: not site.conditions.holds("channel_duty"), what="the channel works again")


async def test_a_redirect_is_not_followed_and_a_private_address_not_called(http: Receiver, tmp_path: Path) -> None:
    http.answers[:] = [302]
    http.headers["Location"] = http.url
    async with notified(tmp_path, config(hook(http), hook(http, "outside", allow_private=False))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _all(site, "refused"), what="both are refused")
        said = {one.channel: one.reason for one in await site.deliveries()}
        assert "redirects are not followed" in said["duty"]
        assert "private network" in said["outside"]
    assert len(http.refused) == 1
    assert http.posted == []


async def test_a_server_that_drips_is_cut_off(http: Receiver, tmp_path: Path) -> None:
    http.is_slow.set()
    async with notified(tmp_path, config(hook(http, timeout_s=0.3))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: site.conditions.holds("channel_duty"), what="it is noticed")
        assert "did not answer within 0.3 s" in (await site.deliveries())[0].reason
        http.is_slow.clear()
        await auntil(lambda: http.posted, what="it is told at last")


async def test_secrets_are_in_no_reason(http: Receiver, tmp_path: Path) -> None:
    http.stop()
    url = tmp_path / "url"
    url.write_text(http.url)
    channel = NotificationChannel("duty", "webhook", url_file=url, allow_private=True, longest_wait_s=0.1)
    async with notified(tmp_path, config(channel)) as site:
        await site.raise_alarm(1)
        await auntil(lambda: site.conditions.holds("channel_duty"), what="it fails")
        assert "others can read it" in (await site.deliveries())[0].reason
        url.chmod(0o600)
        await auntil(lambda: _reason(site, "refused"), what="it is tried with the secret")
        assert "geheim" not in (await site.deliveries())[0].reason


async def _reason(site: object, word: str) -> bool:
    return word in (await site.deliveries())[0].reason  # type: ignore[attr-defined]


async def test_nobody_is_told_what_their_rule_does_not_concern(http: Receiver, tmp_path: Path) -> None:
    rules = [
        NotificationRule("yard", ("yard",), ("raise", "return"), cameras=("yard",)),
        NotificationRule("gates", ("gates",), ("raise",), cameras=("gate-*",), regions=("door",)),
        NotificationRule("fires", ("fires",), priorities=(1,)),
    ]
    channels = [hook(http, one.id) for one in rules]
    async with notified(tmp_path, config(*channels, rules=rules)) as site:
        await site.raise_alarm(1, "yard")
        await site.raise_alarm(2, "gate-1")
        await site.raise_alarm(1, "yard", is_over=True, version=2)
        await auntil(lambda: len(http.ids) == 3, what="all are told")
        assert set(http.ids) == {"a00001.1.raise.yard", "a00001.2.return.yard", "a00002.1.raise.gates"}
        assert len(await site.deliveries()) == 3


async def test_too_many_come_as_a_digest(http: Receiver, tmp_path: Path) -> None:
    rule = NotificationRule("few", ("duty",), ("raise",), at_most=2, within_s=1.0)
    async with notified(tmp_path, config(hook(http), rules=[rule])) as site:
        for number in range(7):
            await site.raise_alarm(number)
        await auntil(lambda: any(one.json["occasion"] == "digest" for one in http.posted), what="the digest comes")
    single = [one.json for one in http.posted if one.json["occasion"] == "raise"]
    digests = [one.json for one in http.posted if one.json["occasion"] == "digest"]
    assert len(single) == 2
    assert sum(one["count"] for one in digests) == 5
    assert "and 4 more" in digests[0]["title"]


async def test_while_a_channel_does_not_work_the_newest_of_an_alarm_takes_the_place_of_older_ones(
    http: Receiver, tmp_path: Path
) -> None:
    http.stop()
    async with notified(tmp_path, config(hook(http))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: site.conditions.holds("channel_duty"), what="it fails")
        await site.raise_alarm(1, is_over=True, version=2)
        await auntil(lambda: _has(site, "superseded"), what="the first gives way")
        http.start()
        await auntil(lambda: http.ids == ["a00001.2.return.duty"], what="the newest is told")


async def _has(site: object, progress: str) -> bool:
    return progress in await site.progress()  # type: ignore[attr-defined]


async def test_of_more_than_may_wait_the_oldest_is_dropped_and_that_is_written_down(
    http: Receiver, tmp_path: Path
) -> None:
    http.stop()
    async with notified(tmp_path, config(hook(http, queue=2))) as site:
        for number in range(4):
            await site.raise_alarm(number)
        await auntil(lambda: _dropped(site, 2), what="two give way")
        http.start()
        await auntil(lambda: _sent(site, 2), what="the two are told")
        assert sorted(await site.progress()) == ["dropped", "dropped", "sent", "sent"]
        assert len(http.ids) == 2


async def _sent(site: object, count: int) -> bool:
    return (await site.progress()).count("sent") == count  # type: ignore[attr-defined,no-any-return]


async def _dropped(site: object, count: int) -> bool:
    return (await site.progress()).count("dropped") == count  # type: ignore[attr-defined,no-any-return]


async def test_what_is_given_up_is_written_down(http: Receiver, tmp_path: Path) -> None:
    http.stop()
    async with notified(tmp_path, config(hook(http, give_up_after_s=1.0))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _all(site, "given_up"), what="it is given up")


async def test_discord_gets_an_embed_with_the_still_attached(http: Receiver, tmp_path: Path) -> None:
    async with notified(tmp_path, config(hook(http, form="discord"), hook(http, "slack", form="slack"))) as site:
        await site.raise_alarm(1)
        await auntil(lambda: len(http.posted) == 2, what="both are told")
    bodies = {one.headers["Trueframe-Id"].rpartition(".")[2]: one for one in http.posted}
    discord, slack = bodies["duty"], bodies["slack"]
    assert discord.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'name="payload_json"' in discord.body
    assert b'"url": "attachment://still.jpg"' in discord.body
    assert b'name="files[0]"; filename="still.jpg"' in discord.body
    assert JPEG in discord.body
    assert slack.json["text"] == "[P2] Alarm: Motion in door on yard"
    assert slack.json["blocks"][0]["text"]["type"] == "mrkdwn"
