"""Footage of which a part was moved to another disk: verified where it is, and told where it is not to be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_center.keys import FootageSigner, TrustedKeys
from media_center.tiers import SecondTier
from media_center.verify_files import verify_paths
from media_center.verify_report import Outcome, Report
from tests.footage import Script, record

MOVED = 3


class Place:
    """Six sealed segments, of which the oldest three were moved to a second folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.second = folder / "media", folder / "second"
        self.signer = FootageSigner.generate()
        record(self.root, Script().start().frames(180).items, signer=self.signer)
        self.names = sorted(path.name for path in self.gate.glob("*.mp4"))
        tier = SecondTier(self.root, self.second)
        tier.open()
        for name in self.names[:MOVED]:
            tier.move("gate", name)

    @property
    def gate(self) -> Path:
        return self.root / "gate"

    def verify(self, *paths: Path) -> Report:
        (report,) = verify_paths(paths or [self.gate], TrustedKeys([self.signer.public_key]))
        return report

    def unmount(self) -> Path:
        """The disk is not mounted: its folder is there, and empty."""
        self.second.rename(self.second.with_name("unmounted"))
        self.second.mkdir()
        return self.second.with_name("unmounted")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_was_moved_to_a_folder_that_is_there_is_verified_with_the_rest(place: Place) -> None:
    report = place.verify()
    assert (report.outcome, report.segments, report.elsewhere) == (Outcome.GOOD, len(place.names), {})


def test_what_was_moved_to_a_disk_that_is_not_mounted_is_told_and_the_rest_is_verified(place: Place) -> None:
    place.unmount()
    report = place.verify()
    assert report.findings == []
    assert report.elsewhere == {str(place.second): MOVED}
    assert report.segments == len(place.names) - MOVED
    assert (report.outcome, report.text) == (Outcome.UNKNOWN_SIGNER, "good as far as it is here")
    assert any(str(place.second) in note and "3 segments" in note for note in report.notes)


def test_the_disk_given_beside_the_folder_is_read_where_it_is_mounted_now(place: Place) -> None:
    report = place.verify(place.gate, place.unmount() / "gate")
    assert (report.outcome, report.segments, report.elsewhere) == (Outcome.GOOD, len(place.names), {})


def test_damage_in_what_is_here_is_found_though_the_rest_is_not(place: Place) -> None:
    place.unmount()
    path = place.gate / place.names[-2]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert place.verify().outcome is Outcome.BROKEN


def test_a_segment_that_is_missing_beside_moved_ones_is_missing(place: Place) -> None:
    place.unmount()
    (place.gate / place.names[MOVED]).unlink()
    assert [finding.kind for finding in place.verify().findings] == ["missing"]


def test_a_moved_segment_that_its_disk_lost_is_missing(place: Place) -> None:
    (place.second / "gate" / place.names[0]).unlink()
    report = place.verify()
    assert report.outcome is Outcome.BROKEN
    assert any("where it was moved to" in finding.detail for finding in report.findings)


def test_one_moved_segment_is_verified_or_told(place: Place) -> None:
    link = place.gate / place.names[0]
    assert place.verify(link).outcome is Outcome.GOOD
    place.unmount()
    report = place.verify(link)
    assert (report.findings, report.elsewhere, report.text) == ([], {str(place.second): 1}, "not here")
