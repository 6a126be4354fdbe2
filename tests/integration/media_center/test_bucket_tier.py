"""Footage in an S3-compatible bucket: moved, read back through the cache, deleted; the bucket goes away and comes back.

The service is a real server on 127.0.0.1 (moto), spoken to over HTTP by the real library.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.server import ThreadedMotoServer

from broker.client import WireFrame
from media_center.archive import Archive
from media_center.away import CACHE_NAME, open_segment
from media_center.bucket import Bucket
from media_center.bucket_tier import BucketTier
from media_center.expired import finish_removals
from media_center.hold_book import HoldBook
from media_center.holds import Rolls
from media_center.keys import FootageSigner, TrustedKeys
from media_center.retention import Rule
from media_center.retention_keeper import Levels, RetentionKeeper
from media_center.retention_rules import RuleBook
from media_center.system_events import SystemEvents
from media_center.verify_camera import verify_camera
from media_center.verify_report import Outcome
from mesh.bus import Bus
from mesh.clocks import ManualClock
from mesh.errors import DataLoss, FailedPrecondition, PermissionDenied, Unavailable
from mesh.store import SqliteStore
from tests.footage import EPOCH, Script, archive_of, decoded, gaps_in, record, replayed
from tests.support import until
from trueframe.__main__ import cli
from trueframe.layout import layout_of
from trueframe.v1 import frames_pb2

FRAMES = 180
KEY, SECRET = "AKIATRUEFRAMETEST001", "secret-of-the-bucket-that-no-log-has"
HUGE = 1 << 30


class Service:
    """An S3-compatible service that can be stopped and started on the same port. What it has outlives that."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()
        self.client = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )

    def start(self) -> None:
        self.server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def keys(self, bucket: str) -> set[str]:
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {item["Key"].removeprefix("site/") for item in found if "/.true" not in item["Key"]}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = Service()
    yield made
    made.stop()


class Place:
    """A footage folder of six sealed segments with a bucket of its own."""

    def __init__(self, service: Service, folder: Path, name: str) -> None:
        self.root, self.service, self.bucket = folder / "media", service, name
        self.signer = FootageSigner.generate()
        self.secrets = folder / "credentials"
        self.secrets.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
        self.secrets.chmod(0o600)
        service.client.create_bucket(Bucket=name)
        self.root.mkdir(parents=True)
        record(self.root, Script().start().frames(FRAMES).items, signer=self.signer)
        self.whole = self.digests()
        self.tiers: list[BucketTier] = []
        self.client: Bucket | None = None

    def tier(self, cache_bytes: int = HUGE, root: Path | None = None, **options: Any) -> BucketTier:
        if self.client is None or options:
            self.client = Bucket(f"s3://{self.bucket}/site", self.service.url, "us-east-1", self.secrets, **options)
        made = BucketTier(root or self.root, self.client, cache_bytes)
        self.tiers.append(made)
        return made

    def opened(self, cache_bytes: int = HUGE, **options: Any) -> BucketTier:
        made = self.tier(cache_bytes, **options)
        made.open()
        made.serve()
        return made

    def names(self) -> list[str]:
        return sorted(path.name for path in (self.root / "gate").glob("*.mp4"))

    def cached(self) -> list[str]:
        return sorted(path.name for path in (self.root / CACHE_NAME).glob("gate/*.mp4"))

    def read(self) -> tuple[dict[int, bytes], list[frames_pb2.Gap]]:
        raw = replayed(archive_of(self.root).footage("gate"))
        return {item.seq: bytes(item.digest) for item in decoded(raw) if isinstance(item, WireFrame)}, gaps_in(raw)

    def digests(self) -> dict[int, bytes]:
        return self.read()[0]


@pytest.fixture
def place(service: Service, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(service, tmp_path, f"footage-{abs(hash(request.node.name)) % 10**9}")
    yield made
    for tier in made.tiers:
        tier.close()


async def keeper_of(place: Place, store: SqliteStore, rule: Rule, tier: BucketTier, archive: Archive) -> Any:
    clock = ManualClock()
    clock.advance(10**11)
    holds = await HoldBook.open(store, archive, Rolls(0, 0), clock)
    events = SystemEvents(Bus("nats://127.0.0.1:9", name="test"), clock)
    rules = await RuleBook.open(store, rule)
    return RetentionKeeper(place.root, archive, holds, rules, events, place.signer, clock, Levels(0, 0, 0), tier)


def move(tier: BucketTier, names: list[str]) -> None:
    for name in names:
        tier.move("gate", name)


def test_footage_is_the_same_on_both_sides_of_the_border(place: Place) -> None:
    tier = place.opened()
    names = place.names()
    move(tier, names[:3])
    assert place.service.keys(place.bucket) == {f"gate/{name}" for name in names[:3]}
    assert place.cached() == []
    assert place.read() == (place.whole, [])
    assert place.cached() == names[:3], "they were fetched to be read"
    report = verify_camera([place.root / "gate"], TrustedKeys([place.signer.public_key]))
    assert report.outcome is Outcome.GOOD, report.findings


def test_a_start_and_seeking_fetch_nothing_even_without_a_catalogue(place: Place) -> None:
    tier = place.opened()
    move(tier, place.names()[:-1])
    (place.root / "gate" / "catalogue").unlink(missing_ok=True)
    footage = archive_of(place.root).footage("gate")
    found = [footage.id_at(position).seq for position in map(footage.first_received_from, (0, 10**18))
             if position is not None]  # fmt: skip
    assert found[:1] == [0]
    assert len(footage.view) == 6
    assert place.cached() == []


def test_a_large_segment_goes_up_in_parts_and_is_read_back(place: Place) -> None:
    name = place.names()[0]
    path = place.root / "gate" / name
    with path.open("ab") as file:
        file.write(os.urandom(11 << 20))
    whole = path.read_bytes()
    tier = place.opened(single_bytes=1 << 20, part_bytes=5 << 20)
    assert tier.move("gate", name) == len(whole)
    assert path.is_symlink()
    with os.fdopen(open_segment(path), "rb") as file:
        assert file.read() == whole


def test_the_cache_keeps_its_bound_and_what_was_used_last(place: Place) -> None:
    names = place.names()
    sizes = {name: (place.root / "gate" / name).stat().st_size for name in names}
    tier = place.opened(cache_bytes=sum(sorted(sizes.values())[-2:]))
    move(tier, names[:4])
    folder = place.root / "gate"
    held = open_segment(folder / names[0])
    for name in (names[1], names[0], names[2]):
        os.close(open_segment(folder / name))
    assert place.cached() == [names[0], names[2]], "the longest unused went"
    os.close(open_segment(folder / names[3]))
    assert os.fstat(held).st_size == len(os.pread(held, HUGE, 0)) == sizes[names[0]], "an open file is read to its end"
    os.close(held)
    assert tier.cache.bytes <= sum(sorted(sizes.values())[-2:])
    assert place.read() == (place.whole, [])


def test_many_readers_of_one_segment_fetch_it_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    tier = place.opened()
    name = place.names()[0]
    move(tier, [name])
    fetches, get = [], Bucket.get

    def counted(self: Bucket, key: str) -> Iterator[bytes]:
        fetches.append(key)
        return get(self, key)

    monkeypatch.setattr(Bucket, "get", counted)
    failed: list[OSError] = []

    def read() -> None:
        try:
            os.close(open_segment(place.root / "gate" / name))
        except OSError as error:
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(12)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert failed == []
    assert fetches == [f"gate/{name}"]


async def test_a_bucket_that_is_away_is_told_and_read_again_when_it_is_back(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tier = place.opened()
    names = place.names()
    move(tier, names[:2])
    place.service.stop()
    try:
        left, gaps = place.read()
        assert left == {seq: digest for seq, digest in place.whole.items() if seq >= 60}
        assert {gap.reason for gap in gaps} == {frames_pb2.GAP_REASON_UNREADABLE}
        assert sum(gap.count for gap in gaps) == 60
        with pytest.raises(OSError, match="cannot read from there") as caught:
            open_segment(place.root / "gate" / names[0])
        assert caught.value.errno == errno.EREMOTEIO
        assert not tier.is_open
        async with SqliteStore(tmp_path / "store") as store:
            keeper = await keeper_of(place, store, Rule(move_after_s=1), tier, archive_of(place.root))
            await keeper.look()
            assert keeper._events.holds("second_tier")
            assert keeper.second_tier().detail
            place.service.start()
            keeper._clock.advance(10**12)
            await keeper.look()
            assert not keeper._events.holds("second_tier")
    finally:
        if place.service.server._thread is None or not place.service.server._thread.is_alive():
            place.service.start()
    assert place.read() == (place.whole, [])
    assert SECRET not in caplog.text
    assert KEY not in caplog.text


async def test_what_retention_deletes_is_deleted_in_the_bucket_too(place: Place, tmp_path: Path) -> None:
    tier = place.opened()
    move(tier, place.names()[:4])
    os.close(open_segment(place.root / "gate" / place.names()[0]))
    async with SqliteStore(tmp_path / "store") as store:
        keeper = await keeper_of(place, store, Rule(max_bytes=1), tier, archive_of(place.root))
        await keeper.look()
    assert place.service.keys(place.bucket) == set()
    assert list((place.root / CACHE_NAME).glob("gate/*")) == []
    left, gaps = place.read()
    assert {gap.reason for gap in gaps} == {frames_pb2.GAP_REASON_EXPIRED}
    assert len(left) + sum(gap.count for gap in gaps) == FRAMES
    report = verify_camera([place.root / "gate"], TrustedKeys([place.signer.public_key]))
    assert report.outcome is Outcome.GOOD, report.findings


async def test_what_was_deleted_while_the_bucket_was_away_goes_when_it_is_back(place: Place, tmp_path: Path) -> None:
    tier = place.opened()
    names = place.names()
    move(tier, names[:2])
    tier.is_open = False
    async with SqliteStore(tmp_path / "store") as store:
        keeper = await keeper_of(place, store, Rule(max_bytes=1), tier, archive_of(place.root))
        keeper._tier_tried_ns = keeper._clock.monotonic_ns()
        await keeper.look()
    assert place.service.keys(place.bucket) == {f"gate/{name}" for name in names[:2]}
    finish_removals(place.root / "gate")
    place.opened()
    assert place.service.keys(place.bucket) == set()


class Dies(BaseException):
    """The process ends here."""


class Life:
    """Ends behind so many of the calls that it watches."""

    def __init__(self, patched: pytest.MonkeyPatch, calls: int) -> None:
        self._patched, self._left = patched, calls

    def watch(self, owner: Any, name: str) -> None:
        call = getattr(owner, name)

        def dying(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise Dies
            return call(*arguments, **options)

        self._patched.setattr(owner, name, dying)


def test_a_move_may_be_cut_short_at_any_step(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.opened().close()
    names = place.names()
    shutil.copytree(place.root, tmp_path / "before", symlinks=True)
    steps = 0
    while True:
        shutil.rmtree(place.root)
        shutil.copytree(tmp_path / "before", place.root, symlinks=True)
        tier = place.opened()
        with monkeypatch.context() as patched:
            life = Life(patched, steps)
            life.watch(Bucket, "put")
            life.watch(os, "fsync")
            life.watch(Path, "replace")
            life.watch(Path, "symlink_to")
            try:
                tier.move("gate", names[0])
                is_done = True
            except Dies:
                is_done = False
        tier.close()
        place.opened()
        is_moved = (place.root / "gate" / names[0]).is_symlink()
        assert place.service.keys(place.bucket) == ({f"gate/{names[0]}"} if is_moved else set())
        assert place.read() == (place.whole, [])
        if is_done:
            break
        steps += 1
    assert steps > 5, "it was cut short at many steps"


def test_a_bucket_that_stores_other_bytes_does_not_get_the_segment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = place.opened()
    name = place.names()[0]
    monkeypatch.setattr(Bucket, "get", lambda *_: iter([b"other"]))
    bucket: Any = tier._bucket
    bucket._single, bucket._part = 1, 5 << 20
    with pytest.raises(DataLoss):
        tier.move("gate", name)
    assert not (place.root / "gate" / name).is_symlink()
    monkeypatch.undo()
    assert place.read() == (place.whole, [])


def test_what_comes_back_changed_is_not_shown(place: Place) -> None:
    tier = place.opened()
    name = place.names()[0]
    move(tier, [name])
    place.service.client.put_object(Bucket=place.bucket, Key=f"site/gate/{name}", Body=b"something else")
    with pytest.raises(OSError, match="has not what was moved there"):
        open_segment(place.root / "gate" / name)
    left, gaps = place.read()
    assert len(left) + sum(gap.count for gap in gaps) == FRAMES
    assert {gap.reason for gap in gaps} == {frames_pb2.GAP_REASON_UNREADABLE}


def test_a_bucket_of_another_media_center_is_left_alone(place: Place, tmp_path: Path) -> None:
    move(place.opened(), place.names()[:1])
    (tmp_path / "other").mkdir()
    other = place.tier(root=tmp_path / "other")
    with pytest.raises(FailedPrecondition, match="belongs to another media center"):
        other.open()
    assert not other.is_open
    assert len(place.service.keys(place.bucket)) == 1


def test_without_a_media_center_verify_says_where_the_segment_is_and_fetches_it_when_asked(
    place: Place, tmp_path: Path
) -> None:
    tier = place.opened()
    names = place.names()
    move(tier, names[:2])
    tier.close()
    key = tmp_path / "key.pem"
    key.write_bytes(place.signer.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    arguments = ["verify", str(place.root / "gate"), "--key", str(key)]

    here = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert here.return_value == 1, here.output
    assert f"good as far as it is here ({len(names) - 2} segments" in here.output
    assert f"2 segments lie in s3://{place.bucket}/site" in here.output
    assert "--fetch" in here.output

    data = tmp_path / "data"
    layout = layout_of(data)
    layout.run.mkdir(parents=True)
    layout.config.write_text(
        f"[media_center]\nfootage_dir = '{place.root}'\nsecond_tier = 's3://{place.bucket}/site'\n"
        f"s3_endpoint_url = '{place.service.url}'\ns3_region = 'us-east-1'\n"
        f"s3_credentials_file = '{place.secrets}'\n"
    )
    arguments += ["--fetch", "--data", str(data)]
    whole = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert whole.return_value == 0, whole.output
    assert f"good ({len(names)} segments" in whole.output
    assert place.cached() == [], "the cache of the instance is left as it is"

    place.service.stop()
    try:
        away = CliRunner().invoke(cli, arguments, standalone_mode=False)
        assert (away.return_value, "2 segments lie in s3://" in away.output) == (1, True), away.output
    finally:
        place.service.start()


def test_what_is_brought_back_is_what_was_moved_and_its_object_is_gone(place: Place) -> None:
    tier = place.opened()
    names = place.names()
    move(tier, names[:3])
    place.read()
    held = open_segment(place.root / "gate" / names[1])
    size = tier.bring_back("gate", names[1])
    try:
        assert os.fstat(held).st_size == size
    finally:
        os.close(held)
    path = place.root / "gate" / names[1]
    assert (path.is_symlink(), path.stat().st_size) == (False, size)
    assert place.service.keys(place.bucket) == {f"gate/{names[0]}", f"gate/{names[2]}"}
    assert tier.moved["gate"] == {names[0], names[2]}
    assert place.read() == (place.whole, [])
    report = verify_camera([place.root / "gate"], TrustedKeys([place.signer.public_key]))
    assert report.outcome is Outcome.GOOD, report.findings


def test_what_the_bucket_has_changed_is_not_brought_back(place: Place) -> None:
    tier = place.opened()
    names = place.names()
    move(tier, names[:1])
    place.service.client.put_object(Bucket=place.bucket, Key=f"site/gate/{names[0]}", Body=b"other bytes")
    with pytest.raises(OSError, match="has not what was moved there"):
        tier.bring_back("gate", names[0])
    assert (place.root / "gate" / names[0]).is_symlink()
    assert not list((place.root / "gate").glob("*.returning"))


def test_credentials_that_others_can_read_are_refused(place: Place) -> None:
    place.secrets.chmod(0o644)
    with pytest.raises(PermissionDenied) as caught:
        place.tier()
    assert SECRET not in str(caught.value)


def test_a_missing_library_is_told_with_its_remedy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(FailedPrecondition, match=r"trueframe\[s3\]"):
        place.tier()


def test_a_whole_media_center_moves_replays_and_outlives_its_bucket(
    place: Place, tmp_path: Path, make_instance: Callable[..., Any]
) -> None:
    made = make_instance(
        media_center__second_tier=f"s3://{place.bucket}/site", media_center__s3_endpoint_url=place.service.url,
        media_center__s3_region="us-east-1", media_center__s3_credentials_file=place.secrets,
        media_center__move_after_s=1, media_center__s3_cache_bytes=1, media_center__max_age_s=0,
    )  # fmt: skip
    made.footage_dir.mkdir(parents=True)
    # Long ago, so that it is time to move it.
    record(
        made.footage_dir,
        Script(utc_offset_ns=1_500_000_000_000_000_000 - EPOCH).start().frames(FRAMES).items,
        signer=place.signer,
    )

    def replay() -> tuple[dict[int, bytes], set[int]]:
        with made.footage() as footage:
            items = list(footage.replay("gate"))
        frames = {item.seq: bytes(item.digest) for item in items if isinstance(item, WireFrame)}
        return frames, {item.reason for item in items if isinstance(item, frames_pb2.Gap)}

    before = place.whole
    made.start("media_center")
    made.wait_ready("media_center")
    until(lambda: len(place.service.keys(place.bucket)) >= 5, 30, "segments are in the bucket")
    until(lambda: len([path for path in (made.footage_dir / "gate").iterdir() if path.is_symlink()]) >= 5, 30)
    assert replay() == (before, set())
    with made.footage("administrator") as footage:
        (_, second) = footage.storage().tiers
        assert (second.location, second.detail) == (f"s3://{place.bucket}/site", "")
        assert second.footage_bytes > 0
        moved = [segment for segment in footage.segments(["gate"]) if segment.tier == "second"]
        data = b"".join(footage.read_segment("gate", moved[0].name))
        assert (len(data), bytes(data[-len(moved[0].seal) :])) == (moved[0].size_bytes, moved[0].seal)
        # Back for a while, and gone again when that is over.
        span = footage.recordings(["gate"]).recordings[0]
        answers = list(footage.bring_back("gate", span.first_ns, span.first_ns + 4_000_000_000, keep_s=3))
        assert (answers[0].segments_done, answers[-1].segments_done, list(answers[-1].problems)) == (0, 2, [])
        assert answers[-1].bytes_done == answers[-1].size_bytes
        links = [path for path in (made.footage_dir / "gate").glob("*.mp4") if path.is_symlink()]
        assert len(links) == len(moved) - 2
        assert replay() == (before, set())
        actions = [entry.action for entry in footage.accesses(["gate"])]
        assert "bring back" in actions
    with made.footage("operator") as footage, pytest.raises(PermissionDenied):
        list(footage.bring_back("gate"))
    until(lambda: len(place.service.keys(place.bucket)) == len(moved), 30, "they are moved again")
    place.service.stop()
    try:
        with made.footage("administrator") as footage, pytest.raises(Unavailable, match="cannot be reached"):
            list(footage.bring_back("gate"))
        assert made.end("media_center") == 0
        made.start("media_center")
        made.wait_ready("media_center")
        frames, reasons = replay()
        assert frames.items() < before.items()
        assert reasons == {frames_pb2.GAP_REASON_UNREADABLE}
        with made.footage("administrator") as footage, pytest.raises(DataLoss, match="bucket"):
            list(footage.read_segment("gate", moved[0].name))
    finally:
        place.service.start()
    until(lambda: replay() == (before, set()), 30, "all of it is read again")
    made.end("media_center")
    log = made.log("media_center")
    assert "footage moved" in log
    assert SECRET not in log
    assert KEY not in log
