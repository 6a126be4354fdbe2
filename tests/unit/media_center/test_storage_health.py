"""When a disk counts as slow, full or failing, and when it is good again."""

from __future__ import annotations

from media_center.storage_health import (
    DISK_ERRORS,
    DISK_FULL,
    FRAMES_LOST,
    SLOW_DISK,
    Reading,
    RoundTimes,
    StorageHealth,
)

SECOND = 1_000_000_000
LIMIT = 256 << 20


class Disk:
    """A disk and its judge, by hand."""

    def __init__(self) -> None:
        self.now_ns = SECOND
        self.times = RoundTimes()
        self.health = StorageHealth(SECOND, self.times)
        self.queued = 0
        self.lost = 0
        self.is_full = False
        self.refusals: dict[str, str] = {}

    def round(self, took_s: float, pause_s: float = 0.5) -> None:
        self.times.begin(self.now_ns)
        self.wait(took_s)
        self.times.end(self.now_ns)
        self.wait(pause_s)

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)

    def ails(self) -> set[str]:
        reading = Reading(self.now_ns, self.queued, LIMIT, self.lost, self.is_full, self.refusals)
        return {one.name for one in self.health.judge(reading) if one.holds}


def test_a_fast_disk_is_good() -> None:
    disk = Disk()
    assert disk.ails() == set()
    for _ in range(200):
        disk.round(0.02)
        assert disk.ails() == set()
    assert disk.times.p99_ns(disk.now_ns) == 20_000_000


def test_one_slow_round_among_many_is_no_alarm_and_two_of_a_minute_are() -> None:
    disk = Disk()
    for _ in range(100):
        disk.round(0.02)
    disk.round(1.2)
    assert disk.ails() == set()
    disk.round(1.2)
    assert disk.ails() == {SLOW_DISK}


def test_a_slow_disk_is_good_again_a_minute_after_its_last_slow_round() -> None:
    disk = Disk()
    disk.round(1.5)
    disk.round(1.5)
    assert disk.ails() == {SLOW_DISK}
    for _ in range(100):
        disk.round(0.02)
        assert disk.ails() == {SLOW_DISK}
    for _ in range(20):
        disk.round(0.02)
    assert disk.ails() == set()


def test_a_round_that_does_not_end_is_noticed_while_it_lasts() -> None:
    disk = Disk()
    disk.round(0.02)
    disk.times.begin(disk.now_ns)
    disk.wait(1.9)
    assert disk.ails() == set()
    disk.wait(0.2)
    assert disk.ails() == {SLOW_DISK}
    assert disk.times.p99_ns(disk.now_ns) == 2_100_000_000
    # At 45 MB/s the queue has room for 5.7 s: this was told more than three seconds before the first frame is lost.
    assert disk.times.under_way_ns(disk.now_ns) / SECOND < 256 / 45 - 3


def test_a_queue_that_fills_is_a_slow_disk_whatever_rounds_take() -> None:
    disk = Disk()
    disk.queued = LIMIT // 4 + 1
    assert disk.ails() == {SLOW_DISK}
    disk.queued = LIMIT // 5
    assert disk.ails() == {SLOW_DISK}
    disk.queued = LIMIT // 10
    assert disk.ails() == set()


def test_lost_frames_are_told_until_none_were_lost_for_ten_seconds() -> None:
    disk = Disk()
    disk.lost = 3
    assert disk.ails() == {FRAMES_LOST}
    disk.wait(9)
    assert disk.ails() == {FRAMES_LOST}
    disk.lost = 4
    assert disk.ails() == {FRAMES_LOST}
    disk.wait(9)
    assert disk.ails() == {FRAMES_LOST}
    disk.wait(2)
    assert disk.ails() == set()


def test_full_and_refusing_are_told_with_the_reason() -> None:
    disk = Disk()
    disk.is_full = True
    disk.refusals = {"gate": "Input/output error", "door": "Input/output error"}
    assert disk.ails() == {DISK_FULL, DISK_ERRORS}
    reading = Reading(disk.now_ns, 0, LIMIT, 0, True, disk.refusals)
    (told,) = [one.summary for one in disk.health.judge(reading) if one.name == DISK_ERRORS]
    assert "(Input/output error)" in told
    disk.is_full, disk.refusals = False, {}
    assert disk.ails() == set()


def test_percentiles_are_of_the_last_minute_only() -> None:
    disk = Disk()
    disk.round(5)
    for _ in range(150):
        disk.round(0.01)
    assert disk.times.p99_ns(disk.now_ns) == 10_000_000
    disk.wait(61)
    assert disk.times.p99_ns(disk.now_ns) == 0
