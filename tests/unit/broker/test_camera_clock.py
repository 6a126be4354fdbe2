"""The camera's own clock, out of sender reports and stamps, held against arrivals."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.rtsp.clock import RTP_EXTENSION, SENDER_REPORT, CameraClock, ClockState

S = 1_000_000_000
T0 = 1_700_000_000 * S


def test_nothing_is_claimed_before_the_first_report() -> None:
    assert CameraClock(90_000).at(0) is None


def test_a_timestamp_is_placed_by_its_distance_from_the_report() -> None:
    clock = CameraClock(90_000)
    clock.report(T0, 900_000)
    assert clock.at(900_000) == (T0, 11_112)
    assert clock.at(990_000) == (T0 + S, 11_112 + 100_000)
    before = clock.at(810_000)
    assert before is not None
    assert before[0] == T0 - S


def test_a_step_of_the_cameras_clock_widens_the_uncertainty_until_the_next_report() -> None:
    clock = CameraClock(90_000)
    clock.report(T0, 0)
    clock.report(T0 + 5 * S + 2 * S, 450_000)
    stepped = clock.at(450_000)
    assert stepped == (T0 + 7 * S, 2 * S + 11_112)
    clock.report(T0 + 12 * S, 900_000)
    assert clock.at(900_000) == (T0 + 12 * S, 11_112)


def test_a_camera_without_a_clock_gives_no_time() -> None:
    clock = CameraClock(90_000)
    clock.report(0, 0)
    assert clock.at(0) is None


class Playing:
    """A camera that plays at 10 frames a second, with a report every second; times as the broker would see them."""

    def __init__(self, offset_ns: int = 0, is_stamped: bool = False) -> None:
        self.state = ClockState()
        self.clock = CameraClock(90_000, self.state)
        self.offset_ns = offset_ns
        self.is_stamped = is_stamped
        self.frames = 0
        self.shift_ticks = 0
        self.told_errors: list[int] = []

    def play(self, seconds: float, late_ns: int = 2_000_000, *, with_reports: bool = True) -> None:
        for _ in range(round(seconds * 10)):
            elapsed_ns = self.frames * S // 10
            rtp = self.frames * 9000 + self.shift_ticks
            ntp_ns = T0 + elapsed_ns + self.offset_ns
            if not self.is_stamped and with_reports and self.frames % 10 == 0:
                self.clock.report(ntp_ns, rtp)
            self.clock.observe(rtp, 10**12 + elapsed_ns + late_ns, T0 + elapsed_ns + late_ns)
            if self.is_stamped:
                self.clock.extension(ntp_ns, rtp)
            if (told := self.clock.at(rtp)) is not None:
                self.told_errors.append(told[0] - ntp_ns)
            self.frames += 1


def test_the_offset_is_that_of_the_quickest_frame() -> None:
    camera = Playing(offset_ns=3 * S)
    camera.play(1, late_ns=500_000_000)
    camera.play(1, late_ns=1_000_000)
    camera.play(1, late_ns=40_000_000)
    assert camera.clock.offset_ns == 3 * S - 1_000_000


def test_the_offset_follows_a_camera_that_was_set_right_slowly() -> None:
    camera = Playing(offset_ns=40_000_000)
    camera.play(5)
    camera.offset_ns = 0  # Below what counts as a jump.
    camera.play(25)
    assert camera.clock.offset_ns == -2_000_000
    assert camera.state.jumps == 0


def test_a_jump_of_the_wall_clock_is_counted_once_with_its_size_and_moment() -> None:
    camera = Playing()
    camera.play(5)
    camera.offset_ns = -3 * S
    camera.play(5)
    assert (camera.state.jumps, camera.state.last_jump_ns) == (1, -3 * S)
    assert abs(camera.state.last_jump_at_ns - (T0 + 5 * S)) < S
    assert camera.clock.offset_ns == -3 * S - 2_000_000


@pytest.mark.parametrize("jump_s", [7, -7])
def test_a_jump_of_the_timestamps_is_counted_once_and_no_wrong_time_is_told(jump_s: int) -> None:
    camera = Playing()
    camera.play(5.5)
    camera.shift_ticks = jump_s * 90_000
    camera.play(0.1, with_reports=False)
    assert (camera.state.jumps, camera.state.last_jump_ns) == (1, jump_s * S)
    # What the last report said of the old timestamps is not applied to the new ones.
    assert camera.clock.at(camera.frames * 9000 + camera.shift_ticks) is None
    camera.play(3)
    assert set(camera.told_errors) == {0}
    assert camera.state.jumps == 1
    assert camera.clock.offset_ns == -2_000_000


@pytest.mark.parametrize("jump_s", [7, -7])
def test_a_report_that_comes_before_the_first_jumped_frame_counts_no_second_jump(jump_s: int) -> None:
    camera = Playing()
    camera.play(5)
    camera.shift_ticks = jump_s * 90_000
    camera.play(5)  # Frame 50 comes with a report.
    assert (camera.state.jumps, camera.state.last_jump_ns) == (1, jump_s * S)
    assert set(camera.told_errors) == {0}
    assert len(camera.told_errors) == 100  # And no frame had to go without.


def test_a_jump_of_timestamps_that_stamp_themselves_costs_no_frame_its_time() -> None:
    camera = Playing(is_stamped=True)
    camera.play(5)
    camera.shift_ticks = -90_000 * 60
    camera.play(5)
    assert camera.state.jumps == 1
    assert set(camera.told_errors) == {0}
    assert len(camera.told_errors) == 100


def test_a_network_that_stalls_and_then_hurries_is_no_jump() -> None:
    camera = Playing()
    camera.play(5)
    for frame in range(30):  # Three seconds held up, then all at once.
        rtp, at_ns = (50 + frame) * 9000, 8 * S + frame * 1_000_000
        camera.clock.observe(rtp, 10**12 + at_ns, T0 + at_ns)
    camera.frames = 80
    camera.play(5)
    assert camera.state.jumps == 0


def test_frames_lost_in_the_hurry_after_a_stall_are_no_jump() -> None:
    camera = Playing()
    camera.play(5)
    for frame in (51, 52, 75, 79):
        at_ns = 8 * S + frame * 1_000_000
        camera.clock.observe(frame * 9000, 10**12 + at_ns, T0 + at_ns)
    camera.frames = 81
    camera.play(5)
    assert camera.state.jumps == 0


def test_pictures_out_of_order_are_no_jump() -> None:
    clock = CameraClock(90_000, state := ClockState())
    order = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11]
    for decode, shown in enumerate(order):
        at_ns = decode * S // 10
        clock.observe(shown * 9000, 10**12 + at_ns, T0 + at_ns)
    assert state.jumps == 0


def test_stamps_of_the_frames_themselves_outrank_reports() -> None:
    camera = Playing(is_stamped=True)
    camera.play(3)
    assert camera.clock.source == RTP_EXTENSION
    camera.clock.report(T0 + 60 * S, camera.frames * 9000)
    assert camera.clock.at(camera.frames * 9000 - 9000) == (T0 + 2_900_000_000, 11_112)
    assert camera.state.jumps == 0


def test_reports_are_believed_again_when_stamps_have_stopped() -> None:
    camera = Playing(is_stamped=True)
    camera.play(3)
    camera.is_stamped = False
    camera.play(15)
    assert camera.clock.source == SENDER_REPORT
    assert camera.state.jumps == 0


def test_what_jumped_before_is_remembered_over_a_new_connection() -> None:
    camera = Playing()
    camera.play(3)
    camera.offset_ns = 5 * S
    camera.play(3)
    again = CameraClock(90_000, camera.state)
    reading = camera.state.reading()
    assert reading is not None
    assert (reading.jumps, reading.source, reading.offset_ns) == (1, "", None)
    assert camera.state.clock is again


def test_a_camera_that_never_gave_timestamps_has_no_clock() -> None:
    assert ClockState().reading() is None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["report", "stamp", "unit"]),
            st.integers(-(2**40), 2**40),
            st.integers(0, 2**63),
            st.integers(0, 10**10),
        ),
        max_size=60,
    )
)
def test_a_hostile_camera_breaks_nothing(steps: list[tuple[str, int, int, int]]) -> None:
    clock = CameraClock(90_000, state := ClockState())
    at_ns = 10**12
    for kind, rtp, ntp_ns, later_ns in steps:
        at_ns += later_ns
        if kind == "report":
            clock.report(ntp_ns, rtp)
        elif kind == "stamp":
            clock.extension(ntp_ns, rtp)
        else:
            clock.observe(rtp, at_ns, T0 + at_ns)
        clock.at(rtp)
    reading = state.reading()
    assert reading is not None
    assert reading.jumps <= len(steps)
