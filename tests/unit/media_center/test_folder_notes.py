"""A start after a crash goes by what was noted of names, and by the names themselves where anything has changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from media_center import recovery
from media_center.catalogue import CATALOGUE_NAME, RECORD_SIZE
from media_center.cutter import Cutter, Limits
from media_center.expired import write_expired
from media_center.folder_notes import NAMES, FolderNotes
from media_center.keys import FootageSigner
from media_center.recovery import RecoveredCamera, recover
from media_center.removed import RemovedLog
from media_center.retention_keeper import _removal
from media_center.retention_stock import stored
from media_center.writer import FootageWriter
from mesh.clocks import SystemClock
from tests.footage import SECOND, Script, close

LIMITS = Limits(segment_ns=3 * SECOND, max_segment_ns=6 * SECOND)
FRAMES = 200


class Place:
    """A media center that was killed while it recorded two cameras: nothing of it was stopped in order."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "media"
        self.signer = FootageSigner.generate()
        running = folder / "running"
        running.mkdir()
        notes = FolderNotes(running)
        recover(running, self.signer, notes)
        writer = FootageWriter(
            running, {}, lambda _: None, SystemClock(), sync_s=0.001, signer=self.signer, notes=notes
        )
        writer.start()
        for camera in ("gate", "yard"):
            cutter = Cutter(camera, LIMITS)
            for item in Script(camera).start().frames(FRAMES).items:
                for fragment in cutter.take(item, 0):
                    writer.submit(fragment)
            # Two jobs between rounds: what was submitted before the first is written, and noted, before the second.
            for _ in range(2):
                writer.between_rounds(lambda _: None).result(10)
        shutil.copytree(running, self.root)  # with the times of change of its folders
        assert writer.stop()

    @property
    def gate(self) -> Path:
        return self.root / "gate"

    def names(self) -> list[str]:
        return sorted(path.name for path in self.gate.glob("*.mp4"))

    def start(self, *, with_notes: bool = True) -> dict[str, RecoveredCamera]:
        """Over a copy, so that it can be started again."""
        copy = self.folder / f"start-{with_notes}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.root, copy)
        found = recover(copy, self.signer, FolderNotes(copy) if with_notes else None)
        close(found)
        return found

    def both(self) -> list[object]:
        """The same facts of a start by notes and of one by names; they have to be equal."""
        return [facts(self.start(with_notes=way)["gate"]) for way in (True, False)]


def facts(found: RecoveredCamera) -> dict[str, object]:
    view, resumption, chain = found.table.view(), found.resumption, found.lane.chain
    assert resumption is not None
    assert chain is not None
    return {
        "segments": [view[position] for position in range(len(view))],
        "open": found.table.open_name,
        "expired": view.expired,
        "watermark": found.lane.watermark,
        "resumption": (resumption.started, resumption.last, resumption.tail_notes, resumption.is_ended),
        "chain": (chain.number, chain.last),
    }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cameras whose names a start looked at."""
    found: list[str] = []
    names_in = recovery._names_in

    def watched(folder: Path) -> list[str]:
        found.append(folder.name)
        return names_in(folder)

    monkeypatch.setattr(recovery, "_names_in", watched)
    return found


def touch_as_before(folder: Path, changed_ns: int) -> None:
    os.utime(folder, ns=(changed_ns, changed_ns))


def test_a_start_after_a_crash_lists_no_names_and_finds_the_same(place: Place, listed: list[str]) -> None:
    assert len(place.names()) > 5
    by_notes, by_names = place.both()
    assert sorted(listed) == ["gate", "yard"], "only the start without notes"
    assert by_notes == by_names


def test_a_folder_that_somebody_has_changed_is_listed_and_only_that(place: Place, listed: list[str]) -> None:
    gone = place.names()[1]
    (place.gate / gone).unlink()
    found = place.start()
    assert listed == ["gate"]
    view = found["gate"].table.view()
    assert gone not in [view[position].name for position in range(len(view))]


def test_records_that_a_power_cut_took_from_the_catalogue_are_entered_again(place: Place, listed: list[str]) -> None:
    catalogue = place.gate / CATALOGUE_NAME
    catalogue.write_bytes(catalogue.read_bytes()[: -2 * RECORD_SIZE])
    by_notes, by_names = place.both()
    assert sorted(listed) == ["gate", "yard"], "only the start without notes"
    assert by_notes == by_names


@pytest.mark.parametrize("harm", ["short", "torn", "flipped", "gone", "longer"])
def test_a_catalogue_that_does_not_fit_the_note_is_not_believed(place: Place, listed: list[str], harm: str) -> None:
    catalogue, changed_ns = place.gate / CATALOGUE_NAME, place.gate.stat().st_mtime_ns
    data = catalogue.read_bytes()
    if harm == "gone":
        catalogue.unlink()
        touch_as_before(place.gate, changed_ns)
    else:
        catalogue.write_bytes(
            {
                "short": data[: -5 * RECORD_SIZE],
                "torn": data[:-7],
                "flipped": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
                "longer": data + data[-RECORD_SIZE:],
            }[harm]
        )
    by_notes, by_names = place.both()
    assert sorted(listed) == ["gate", "gate", "yard"]
    assert by_notes == by_names


def test_a_note_that_a_power_cut_tore_leaves_the_one_before(place: Place, listed: list[str]) -> None:
    older, newer = sorted(NAMES, key=lambda name: (place.root / name).read_bytes().count(b"mp4"))
    data = (place.root / newer).read_bytes()
    (place.root / newer).write_bytes(data[:100] + b"?" + data[101:])
    place.start()
    assert listed == ["yard"], "the older one does not know of it"
    (place.root / older).write_bytes(b"")
    listed.clear()
    place.start()
    assert sorted(listed) == ["gate", "yard"]


def test_what_was_deleted_since_the_catalogue_was_written_is_not_there(place: Place, listed: list[str]) -> None:
    found = place.start(with_notes=False)["gate"].table
    view = found.view()
    changed_ns = place.gate.stat().st_mtime_ns
    oldest = [stored("gate", view[position], (), {}) for position in range(2)]
    removals = [_removal(place.gate, one, "age", 1) for one in oldest]
    RemovedLog(place.gate, place.signer).append(removals)
    for one in oldest:
        (place.gate / one.name).unlink()
        (place.gate / one.name).with_suffix(".idx").unlink()
    found.expire([recovery.Stretch((one.epoch, one.first_seq), (one.epoch, one.last_seq), one.frames, one.from_ns,
                                   one.to_ns) for one in oldest], [one.name for one in oldest])  # fmt: skip
    write_expired(place.gate, found.view().expired)
    touch_as_before(place.gate, changed_ns)  # the keeper has it noted
    listed.clear()

    by_notes, by_names = place.both()

    assert sorted(listed) == ["gate", "yard"], "only the start without notes"
    assert by_notes == by_names


def test_a_start_notes_what_it_found(place: Place, listed: list[str]) -> None:
    recover(place.root, place.signer)
    copy = place.folder / "again"
    shutil.copytree(place.root, copy)
    close(recover(copy, place.signer, FolderNotes(copy)))
    listed.clear()
    close(recover(copy, place.signer, FolderNotes(copy)))
    assert listed == []
