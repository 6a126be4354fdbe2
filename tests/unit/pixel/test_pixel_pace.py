"""Thinning: what is decoded under load, by a machine whose speed is a number."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.pixel.pace import MAX_AGE_NS, Age, Pace, Phase, Share

SECOND = 1_000_000_000


class Machine:
    """Decodes one camera: a unit every `1/fps` s, `cost_s` to decode one, a join point every `gop` units."""

    def __init__(self, fps: int, cost_s: float, gop: int, backlog: int = 0) -> None:
        self.pace = Pace()
        self.fps, self.cost_ns, self.gop = fps, int(cost_s * SECOND), gop
        self.now_ns = backlog * SECOND // fps
        self.published_ages: list[int] = []
        self.decoded: list[int] = []

    def run(self, units: int) -> None:
        for n in range(units):
            arrival_ns = n * SECOND // self.fps
            self.now_ns = max(self.now_ns, arrival_ns)
            newest = min(units - 1, self.now_ns * self.fps // SECOND)
            age_ns = self.now_ns - arrival_ns
            if self.pace.admits(
                age_ns, self.now_ns, joins=n % self.gop == 0, newer_join_point=newest // self.gop > n // self.gop
            ):
                self.now_ns += self.cost_ns
                self.decoded.append(n)
                if self.pace.publishes(self.now_ns - arrival_ns):
                    self.published_ages.append(self.now_ns - arrival_ns)


def test_a_fast_machine_decodes_all() -> None:
    machine = Machine(fps=25, cost_s=0.01, gop=50)
    machine.run(500)
    assert machine.decoded == list(range(500))


def test_a_backlog_is_caught_up_without_losing_a_reference() -> None:
    machine = Machine(fps=25, cost_s=0.005, gop=250, backlog=200)
    machine.run(400)
    assert machine.decoded == list(range(400))
    assert machine.pace.phase is Phase.LIVE
    assert max(machine.published_ages) <= MAX_AGE_NS


def test_a_backlog_over_several_join_points_jumps_to_the_newest() -> None:
    machine = Machine(fps=25, cost_s=0.005, gop=25, backlog=110)
    machine.run(200)
    assert machine.decoded[0] == 100


@given(st.floats(1.1, 60), st.integers(2, 300))
def test_an_overloaded_machine_keeps_the_bound_and_every_run_begins_at_a_join_point(load: float, gop: int) -> None:
    machine = Machine(fps=20, cost_s=load / 20, gop=gop)
    machine.run(1500)
    assert all(age <= MAX_AGE_NS for age in machine.published_ages)
    starts = [n for n in machine.decoded if n - 1 not in machine.decoded]
    assert all(n % gop == 0 for n in starts)
    assert len(starts) >= min(3, 1500 // gop // 10)


def test_a_hopeless_machine_still_shows_join_points() -> None:
    machine = Machine(fps=25, cost_s=0.5, gop=25)
    machine.run(500)
    assert len(machine.published_ages) >= 10


def test_a_pause_of_the_machine_costs_no_reference() -> None:
    machine = Machine(fps=25, cost_s=0.01, gop=250)
    machine.run(100)
    machine.now_ns += 3 * SECOND
    before = len(machine.decoded)
    pace = machine.pace
    assert pace.admits(2 * SECOND, machine.now_ns, joins=False, newer_join_point=False)
    assert pace.phase is Phase.CATCHING_UP
    assert not pace.publishes(2 * SECOND)
    assert pace.admits(SECOND // 2, machine.now_ns + SECOND, joins=False, newer_join_point=False)
    assert pace.phase is Phase.LIVE
    assert before == 100


class Crowd:
    """Cameras that take turns on one processor."""

    def __init__(self, costs_s: list[float], gops: list[int], fps: int = 25) -> None:
        self.share = Share()
        self.paces = [Pace(share=self.share) for _ in costs_s]
        self.costs_ns, self.gops, self.fps = [int(cost * SECOND) for cost in costs_s], gops, fps
        self.shown = [0] * len(costs_s)
        self.oldest_ns = 0
        self._next = [0] * len(costs_s)
        self._now_ns = 0

    def run(self, seconds: float) -> None:
        end_ns = self._now_ns + int(seconds * SECOND)
        while self._now_ns < end_ns:
            before_ns = self._now_ns
            for camera in range(len(self.paces)):
                self._turn(camera)
            if self._now_ns == before_ns:
                self._now_ns += SECOND // self.fps // 4

    def _turn(self, camera: int) -> None:
        newest = self._now_ns * self.fps // SECOND
        while (n := self._next[camera]) <= newest:
            self._next[camera] += 1
            gop, pace = self.gops[camera], self.paces[camera]
            arrived_ns = n * SECOND // self.fps
            newer = newest // gop > n // gop
            if pace.admits(self._now_ns - arrived_ns, self._now_ns, joins=n % gop == 0, newer_join_point=newer):
                self._now_ns += self.costs_ns[camera]
                if pace.publishes(self._now_ns - arrived_ns):
                    self.shown[camera] += 1
                    self.oldest_ns = max(self.oldest_ns, self._now_ns - arrived_ns)
                return


@given(st.lists(st.tuples(st.floats(0.5, 3), st.integers(5, 120)), min_size=2, max_size=8), st.floats(1.5, 8))
@settings(max_examples=30, deadline=None)
def test_overload_is_shared_so_that_no_camera_goes_blind(kinds: list[tuple[float, int]], load: float) -> None:
    scale = load / 25 / sum(cost for cost, _ in kinds)
    crowd = Crowd([cost * scale for cost, _ in kinds], [gop for _, gop in kinds])
    crowd.run(20)
    crowd.shown = [0] * len(kinds)
    crowd.run(60)
    assert crowd.oldest_ns <= MAX_AGE_NS
    assert min(crowd.shown) >= 60 * 25 / max(gop for _, gop in kinds) / 4, crowd.shown


def test_equal_cameras_are_thinned_alike() -> None:
    crowd = Crowd([0.02] * 6, [50] * 6)
    crowd.run(20)
    crowd.shown = [0] * 6
    crowd.run(120)
    assert min(crowd.shown) > 0.6 * max(crowd.shown), crowd.shown
    assert sum(crowd.shown) * 0.02 > 0.5 * 120, "the processor is used"


def test_one_stall_of_the_machine_costs_no_share() -> None:
    crowd = Crowd([0.002] * 4, [50] * 4)
    crowd.run(10)
    crowd._now_ns += 4 * SECOND
    crowd.run(3)
    crowd.shown = [0] * 4
    crowd.run(4)
    assert crowd.shown == [100] * 4


def test_after_the_overload_everything_is_decoded_again() -> None:
    crowd = Crowd([0.03] * 4, [50] * 4)
    crowd.run(30)
    crowd.costs_ns = [1_000_000] * 4
    crowd.run(60)
    crowd.shown = [0] * 4
    crowd.run(10)
    assert all(shown >= 245 for shown in crowd.shown)


def test_on_the_same_machine_age_is_plain() -> None:
    age = Age(same_machine=True)
    assert age.of(100, 350) == 250
    assert age.of(400, 350) == 0


def test_on_another_machine_the_youngest_frame_is_the_measure() -> None:
    age = Age(same_machine=False)
    assert age.of(5_000_000, 100) == 0
    assert age.of(5_000_100, 900) == 700
    assert age.of(5_000_500, 550) == 0
    assert age.of(5_000_500, 650) == 100


def test_a_clock_that_drifts_does_not_age_the_frames_of_another_machine() -> None:
    age = Age(same_machine=False)
    oldest = 0
    for second in range(24 * 3600):
        now_ns = second * SECOND
        oldest = max(oldest, age.of(now_ns - now_ns // 10_000 + 77, now_ns))
    assert oldest < SECOND // 50
