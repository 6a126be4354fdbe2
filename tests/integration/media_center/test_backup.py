"""Footage is backed up from a running media center, lost, put back into a stopped one, and is what it was."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from media_center.backup.book import read_book
from media_center.backup.client import BackupReport, back_up, check_backup, copy_records, restore
from media_center.client import SyncFootageClient
from media_center.keys import FootageSigner
from mesh.errors import FailedPrecondition, NotFound, PermissionDenied
from mesh.files import private_folder
from tests.footage import EPOCH, SECOND, Script, record

Instance = Any


def segments_in(media: Path) -> dict[str, str]:
    return {
        str(path.relative_to(media)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(media.rglob("*.mp4"))
    }


@pytest.fixture
def instance(make_instance: Callable[..., Instance]) -> Instance:
    """A media center over two cameras' footage: several closed segments and one that is open, all with seals."""
    made = make_instance()
    signer = FootageSigner.of_folder(made.data_dir / "keys", EPOCH)
    private_folder(made.footage_dir)
    for camera in ("gate", "yard"):
        record(made.footage_dir, Script(camera).start().frames(140).items, signer=signer)
    made.start("media_center")
    made.wait_ready("media_center")
    return made


@pytest.fixture
def footage(instance: Instance) -> Iterator[SyncFootageClient]:
    with instance.footage("administrator") as client:
        yield client


def backed_up(instance: Instance, footage: SyncFootageClient, folder: Path) -> BackupReport:
    report = back_up(footage, folder)
    copy_records(instance.data_dir, instance.footage_dir, folder, ["gate", "yard"])
    return report


def test_segments_are_listed_with_their_seals_and_read_as_they_are(
    instance: Instance, footage: SyncFootageClient
) -> None:
    found = list(footage.segments())
    assert [one.camera for one in found] == sorted(one.camera for one in found)
    assert {one.camera for one in found} == {"gate", "yard"}
    on_disk = segments_in(instance.footage_dir)
    # The newest segment of each camera is recorded to.
    assert len(found) == len(on_disk) - 2 >= 4
    for one in found:
        assert len(one.seal) == 308
        data = b"".join(footage.read_segment(one.camera, one.name))
        assert len(data) == one.size_bytes
        assert hashlib.sha256(data).hexdigest() == on_disk[f"{one.camera}/{one.name}"]
    late = list(footage.segments(["gate"], EPOCH + 10 * SECOND))
    assert 0 < len(late) < len(found) / 2
    assert late[0].to_ns >= EPOCH + 10 * SECOND


def test_segments_are_refused_where_they_are_not_the_callers_or_not_there(
    instance: Instance, footage: SyncFootageClient
) -> None:
    names = sorted((instance.footage_dir / "gate").glob("*.mp4"))
    with pytest.raises(NotFound, match="still being written"):
        list(footage.read_segment("gate", names[-1].name))
    for name in ("../yard/" + names[0].name, "catalogue", names[0].name.replace("1", "2"), ""):
        with pytest.raises(NotFound):
            list(footage.read_segment("gate", name))
    with instance.footage("operator") as operator, pytest.raises(PermissionDenied):
        list(operator.segments())
    with instance.footage("maintainer", ["yard"]) as of_yard:
        assert {one.camera for one in of_yard.segments()} == {"yard"}
        with pytest.raises(PermissionDenied):
            list(of_yard.read_segment("gate", names[0].name))


def test_a_backup_puts_back_what_was_destroyed(instance: Instance, footage: SyncFootageClient, tmp_path: Path) -> None:
    before = segments_in(instance.footage_dir)
    report = backed_up(instance, footage, tmp_path / "backup")
    assert (report.findings, report.copied) == ([], len(before) - 2)
    rows = list(footage.frames("gate"))
    instance.stop()
    shutil.rmtree(instance.footage_dir)

    done = restore(tmp_path / "backup", instance.data_dir, instance.footage_dir)

    assert (done.findings, done.restored) == ([], report.copied)
    after = segments_in(instance.footage_dir)
    assert after.items() <= before.items()
    assert len(after) == report.copied
    instance.start("media_center")
    instance.wait_ready("media_center")
    with instance.footage() as client:
        restored = list(client.frames("gate"))
        assert restored == rows[: len(restored)]
        assert len(restored) > 60
        items = list(client.replay("gate"))
        assert all(
            hashlib.sha256(one.payload).digest() == bytes(one.digest) for one in items if hasattr(one, "payload")
        )


def test_a_second_backup_copies_what_is_new_and_mends_what_is_missing(
    footage: SyncFootageClient, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    first = back_up(footage, folder, ["gate"])
    assert first.copied > 0
    second = back_up(footage, folder)
    assert (second.present, second.copied) == (first.copied, first.copied)
    lost = next(iter(read_book(folder).values()))
    (folder / "media" / lost.camera / lost.name).unlink()
    third = back_up(footage, folder)
    assert (third.copied, third.copied_bytes) == (1, lost.size_bytes)
    assert check_backup(folder) == (2 * first.copied, [])


def test_a_backup_that_was_broken_off_goes_on_where_it_was(footage: SyncFootageClient, tmp_path: Path) -> None:
    class Broken(Exception):
        pass

    def break_off(done: int, _: int, __: str) -> None:
        if done > 20_000:
            raise Broken

    folder = tmp_path / "backup"
    with pytest.raises(Broken):
        back_up(footage, folder, progress=break_off)
    copied = len(read_book(folder))
    with (folder / "backup.jsonl").open("ab") as file:
        file.write(b'{"camera": "gate", "na')
    again = back_up(footage, folder)
    assert 0 < copied == again.present
    assert check_backup(folder) == (copied + again.copied, [])
    assert not list(folder.rglob("*.part"))


def test_damage_at_the_source_and_in_the_backup_is_named(
    instance: Instance, footage: SyncFootageClient, tmp_path: Path
) -> None:
    (first, second, *_) = footage.segments(["gate"])
    source = instance.footage_dir / "gate" / first.name
    sound = source.read_bytes()
    source.write_bytes(sound[:2000] + bytes([sound[2000] ^ 1]) + sound[2001:])
    report = back_up(footage, tmp_path / "backup", ["gate"])
    assert len(report.findings) >= 1
    assert all(first.name in text for text in report.findings)
    source.write_bytes(sound)
    assert back_up(footage, tmp_path / "backup", ["gate"]).copied == 1

    copy = tmp_path / "backup" / "media" / "gate" / second.name
    copy.write_bytes(copy.read_bytes()[:-1] + b"\0")
    _, findings = check_backup(tmp_path / "backup")
    assert [second.name in text for text in findings] == [True]
    instance.stop()
    shutil.rmtree(instance.footage_dir)
    done = restore(tmp_path / "backup", instance.data_dir, instance.footage_dir)
    assert [second.name in text for text in done.findings] == [True]
    assert not (instance.footage_dir / "gate" / second.name).exists()


def test_what_lies_there_is_not_overwritten_unasked(
    instance: Instance, footage: SyncFootageClient, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    copied = back_up(footage, folder).copied
    (first, *_) = footage.segments(["gate"])
    instance.stop()
    there = instance.footage_dir / "gate" / first.name
    there.write_bytes(there.read_bytes()[:-1] + b"\0")
    done = restore(folder, instance.data_dir, instance.footage_dir)
    assert (done.present, done.restored, len(done.findings)) == (copied - 1, 0, 1)
    done = restore(folder, instance.data_dir, instance.footage_dir, replaces=True)
    assert (done.restored, done.findings) == (copied, [])
    assert restore(folder, instance.data_dir, instance.footage_dir).present == copied


def test_a_folder_that_holds_something_else_is_refused(footage: SyncFootageClient, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(FailedPrecondition, match="something else"):
        back_up(footage, tmp_path)
    with pytest.raises(NotFound):
        check_backup(tmp_path)


def test_what_was_looked_at_is_told_to_those_who_may_ask(instance: Instance, footage: SyncFootageClient) -> None:
    (first, *_) = footage.segments(["gate"])
    with instance.footage("viewer") as viewer:
        list(viewer.replay("gate", end=EPOCH + SECOND))
    list(footage.read_segment("gate", first.name))
    newest, before, *_ = footage.accesses()
    assert (newest.action, newest.principal, newest.detail) == ("segment", "administrator", first.name)
    assert (newest.from_ns, newest.to_ns) == (first.from_ns, first.to_ns)
    assert (before.action, before.principal, before.to_ns) == ("replay", "viewer", EPOCH + SECOND)
    with instance.footage("viewer") as viewer, pytest.raises(PermissionDenied):
        viewer.accesses()
    with instance.footage("maintainer", ["yard"]) as of_yard:
        assert of_yard.accesses() == []
        list(of_yard.frames("yard"))
    for number in range(5):
        list(footage.read_segment("gate", first.name))
        assert len(footage.accesses(limit=number + 1)) == number + 1
