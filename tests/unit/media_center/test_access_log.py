"""The access log keeps what it is told, bound together and bounded; what was done to it afterwards is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from media_center.access_book import HEAD_NAME, log_files, newest_first, read_head, verify_log
from media_center.access_log import AccessLog
from media_center.keys import FootageSigner, TrustedKeys, is_signed
from media_center.verify_files import verify_paths
from media_center.verify_report import Outcome
from mesh.clocks import ManualClock

SIGNER = FootageSigner.generate()
TRUSTED = TrustedKeys([SIGNER.public_key])


def is_ours(key_id: bytes, signature: bytes, data: bytes) -> bool:
    key = TRUSTED.get(key_id)
    return key is not None and is_signed(key, signature, data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with AccessLog(tmp_path / "access", ManualClock(), SIGNER.sign) as access:
        for number in range(1, 8):
            access.record(f"user-{number}", "replay", "gate", number, number + 10, "line\nbreak")
    return tmp_path / "access"


def findings(folder: Path) -> str:
    return "; ".join(verify_log(folder, is_ours).findings)


def test_entries_come_newest_first_as_they_were_told(folder: Path) -> None:
    entries = list(newest_first(folder))
    assert [entry.number for entry in entries] == [7, 6, 5, 4, 3, 2, 1]
    assert (entries[0].principal, entries[0].from_ns, entries[0].to_ns) == ("user-7", 7, 17)
    assert entries[0].detail == "line\nbreak"
    assert [entry.number for entry in newest_first(folder, before=4)] == [3, 2, 1]


def test_a_log_that_nobody_touched_is_whole(folder: Path) -> None:
    report = verify_log(folder, is_ours)
    assert (report.entries, report.missing, report.findings) == (7, 0, ())
    assert report.signer == SIGNER.key_id


def test_a_log_goes_on_behind_a_restart_and_a_torn_line(folder: Path) -> None:
    ((_, path),) = log_files(folder)
    with path.open("ab") as file:
        file.write(b'{"n":8,"at_ns":17')
    with AccessLog(folder, ManualClock(), SIGNER.sign) as access:
        access.record("later", "export")
    assert [entry.principal for entry in newest_first(folder)][:2] == ["later", "user-7"]
    assert findings(folder) == ""


@pytest.mark.parametrize("line", range(7))
def test_any_changed_or_removed_line_is_found(folder: Path, line: int) -> None:
    ((_, path),) = log_files(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    changed = lines[line].replace(b"user-", b"nser-")
    path.write_bytes(b"".join([*lines[:line], changed, *lines[line + 1 :]]))
    assert findings(folder) != ""
    path.write_bytes(b"".join([*lines[:line], *lines[line + 1 :]]))
    assert findings(folder) != ""
    path.write_bytes(b"".join(lines))
    assert findings(folder) == ""


def cut(lines: list[bytes]) -> list[bytes]:
    return lines[:-2]


def altered(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b"user-", b"nser-")]


def replaced(lines: list[bytes]) -> list[bytes]:
    """The last two lines with two others, and one more behind them, each bound to the one before."""
    made = lines[:-2]
    for number in (6, 7, 8):
        body = json.loads(lines[-1]) | {"n": number, "principal": "x", "previous": sha256(made[-1][:-1]).hexdigest()}
        made.append(json.dumps(body).encode() + b"\n")
    return made


@pytest.mark.parametrize("change", [cut, altered, replaced])
def test_what_was_changed_at_the_end_is_still_found_when_the_log_goes_on(
    folder: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    ((_, path),) = log_files(folder)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    for number in range(2):
        with AccessLog(folder, ManualClock(), SIGNER.sign) as access:
            access.record(f"later-{number}", "export")
    assert [entry.principal for entry in newest_first(folder)][:2] == ["later-1", "later-0"]
    assert len(verify_log(folder, is_ours).findings) == 1


def test_a_damaged_line_does_not_keep_the_oldest_files_from_going(tmp_path: Path) -> None:
    folder = tmp_path / "access"
    with AccessLog(folder, ManualClock(), SIGNER.sign, max_bytes=1200, file_bytes=300) as access:
        for number in range(12):
            access.record("user", "snapshot", "gate", number)
            assert access.flush()
            if number == 3:
                path = log_files(folder)[1][1]
                path.write_bytes(b"{}" + path.read_bytes()[2:])
    head = read_head(folder)
    assert head is not None
    assert head.last == 12
    assert findings(folder) == "", "what was damaged is gone, and the rest is whole"


def test_a_log_rewritten_from_the_beginning_is_found(folder: Path, tmp_path: Path) -> None:
    other = FootageSigner.generate()
    with AccessLog(tmp_path / "forged", ManualClock(), other.sign) as access:
        for _ in range(7):
            access.record("somebody", "replay", "gate")
    ((_, path),) = log_files(folder)
    path.write_bytes(log_files(tmp_path / "forged")[0][1].read_bytes())
    assert "not the one that the head names" in findings(folder)
    (folder / HEAD_NAME).write_bytes((tmp_path / "forged" / HEAD_NAME).read_bytes())
    assert "not of a known key" in findings(folder)


def test_a_head_with_other_numbers_is_found(folder: Path) -> None:
    body = json.loads((folder / HEAD_NAME).read_bytes())
    (folder / HEAD_NAME).write_text(json.dumps(body | {"last": 6}))
    assert "not of a known key" in findings(folder)
    (folder / HEAD_NAME).unlink()
    assert "head is missing" in findings(folder)


def test_the_oldest_files_go_when_the_log_reaches_its_bound(tmp_path: Path) -> None:
    folder = tmp_path / "access"
    with AccessLog(folder, ManualClock(), SIGNER.sign, max_bytes=1200, file_bytes=300) as access:
        for number in range(12):
            access.record("user", "snapshot", "gate", number)
            assert access.flush()
    head = read_head(folder)
    assert head is not None
    assert head.first > 1
    assert sum(path.stat().st_size for _, path in log_files(folder)) < 1800
    assert next(newest_first(folder)).number == head.last == 12
    assert findings(folder) == ""
    log_files(folder)[0][1].unlink()
    assert findings(folder) != ""


def test_what_does_not_fit_is_counted_and_said(tmp_path: Path) -> None:
    access = AccessLog(tmp_path / "access", ManualClock(), SIGNER.sign, queue=3)
    for number in range(10):
        access.record(f"user-{number}", "replay")
    with access:
        pass
    entries = list(newest_first(tmp_path / "access"))
    assert [entry.principal for entry in entries] == ["user-2", "user-1", "user-0"]
    assert verify_log(tmp_path / "access", is_ours).missing == 7


def test_a_disk_that_refuses_is_tried_again(folder: Path) -> None:
    ((_, path),) = log_files(folder)
    with AccessLog(folder, ManualClock(), SIGNER.sign) as access:
        path.rename(folder / "kept")
        path.symlink_to("/dev/full")
        access.record("patient", "export")
        assert not access.flush(0.4)
        (folder / "kept").replace(path)
        assert access.flush()
    assert next(newest_first(folder)).principal == "patient"
    assert findings(folder) == ""


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    with AccessLog(tmp_path / "access", ManualClock(), SIGNER.sign):
        pass
    assert list(newest_first(tmp_path / "access")) == []
    assert findings(tmp_path / "access") == ""


def test_verify_takes_the_folder_of_the_log(folder: Path, tmp_path: Path) -> None:
    (report,) = verify_paths([folder], TRUSTED)
    assert (report.what, report.outcome) == ("access log", Outcome.GOOD)
    (report,) = verify_paths([folder], TrustedKeys([FootageSigner.generate().public_key]))
    assert report.outcome == Outcome.UNKNOWN_SIGNER
    ((_, path),) = log_files(folder)
    path.write_bytes(path.read_bytes().replace(b"user-3", b"user-9"))
    (report,) = verify_paths([folder], TRUSTED)
    assert report.outcome == Outcome.BROKEN
