"""Thinning: what is decoded under load, by a machine whose speed is a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.pixel.pace import MAX_AGE_NS, Age, Pace, Phase

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
