"""Recorded frames as an operator steps through them; footage laid out by hand."""

from mesh.errors import FailedPrecondition
from mesh.ids import FrameId
from tests.desk_by_hand import SECOND_NS, DeskByHand, footage
from tests.support import auntil
from trueframe.alarms import BoxSight, CommentSight, EventSight
from trueframe.situation import CameraSight, Situation
from tui.app import WallApp
from tui.desk import Explained
from tui.frame_screen import FrameScreen
from tui.reel import Row

SIZE = (130, 40)
RED = bytes([255, 48, 48])
ALARM = EventSight(
    "e1", "anomaly", "cam-1", "motion@1", "somebody", 2, 0.9,
    FrameId("cam-1", 1, 45), FrameId("cam-1", 1, 50), FrameId("cam-1", 1, 60),
    104 * SECOND_NS, 0, 105 * SECOND_NS, (BoxSight(0.25, 0.25, 0.5, 0.5),), 1, alarm="unacknowledged",
    comments=(CommentSight("ann", SECOND_NS, "it is a fox"),),
)  # fmt: skip


def app_of(desk: DeskByHand) -> WallApp:
    situation = Situation()
    situation.camera_told(CameraSight("cam-1", "cam-1", "live"))
    situation.event_told(ALARM)
    return WallApp(situation, desk, true_colour=True)


def text_of(app: WallApp) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def shows(app: WallApp, seq: int, epoch: int = 1) -> bool:
    return f" cam-1/{epoch}/{seq}  1970" in text_of(app)


def has_box(app: WallApp) -> bool:
    assert isinstance(app.screen, FrameScreen)
    cells = app.screen._picture._cells
    return cells is not None and any(RED in cells.colours(row) for row in range(cells.rows))


def pictures(desk: DeskByHand) -> list[int]:
    return [about.seq for what, about in desk.asked if what == "picture" and isinstance(about, FrameId)]


async def test_enter_on_an_alarm_shows_its_highest_frame_with_its_box_and_comments_and_escape_leads_back() -> None:
    desk = DeskByHand(*footage("cam-1", 100))
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter")
        await auntil(lambda: shows(app, 50))
        assert pictures(desk)[0] == 50
        assert has_box(app)
        assert "ann: it is a fox" in text_of(app)
        await pilot.press("comma")
        await auntil(lambda: shows(app, 49))
        assert not has_box(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, FrameScreen)


async def test_neighbours_are_fetched_ahead_one_at_a_time_so_that_a_step_is_there_at_once() -> None:
    desk = DeskByHand(*footage("cam-1", 100))
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter")
        await auntil(lambda: {49, 51, 52, 53} <= set(pictures(desk)))
        await auntil(lambda: desk.in_flight == 0)
        desk.answers.clear()
        await pilot.press("full_stop")
        await pilot.pause()
        assert shows(app, 51)
        await pilot.press("comma", "comma")
        await pilot.pause()
        assert shows(app, 49)
        desk.answers.set()
        assert desk.most_in_flight == 1


async def test_steps_made_faster_than_pictures_come_lead_to_the_right_frame() -> None:
    desk = DeskByHand(*footage("cam-1", 100))
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        desk.answers.clear()
        await pilot.press("tab", "enter", *["comma"] * 30, *["full_stop"] * 4)
        desk.answers.set()
        await auntil(lambda: shows(app, 24))


async def test_seconds_and_steps_lead_over_holes_and_epochs_and_the_hole_is_told() -> None:
    later = footage("cam-1", 50, epoch=9, began_ns=300 * SECOND_NS)
    later[0] = Row(later[0].id, later[0].received_ns, "an unknown number of frames missing: broker lost")
    desk = DeskByHand(*footage("cam-1", 100), *later)
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter")
        await auntil(lambda: shows(app, 50))
        await pilot.press("greater_than_sign")
        await auntil(lambda: shows(app, 99))
        await pilot.press("full_stop")
        await auntil(lambda: shows(app, 0, epoch=9))
        await auntil(lambda: "an unknown number of frames missing: broker lost" in text_of(app))
        await pilot.press("comma")
        await auntil(lambda: shows(app, 99))
        await pilot.press("less_than_sign", "less_than_sign")
        await auntil(lambda: shows(app, 0))
        await pilot.press("comma")
        await auntil(lambda: "the oldest frame" in text_of(app))


async def test_behind_the_newest_frame_it_says_so_and_goes_on_when_more_is_recorded() -> None:
    rows = footage("cam-1", 60)
    desk = DeskByHand(*rows[:55])
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter")
        await auntil(lambda: shows(app, 50))
        await pilot.press(*["full_stop"] * 7)
        await auntil(lambda: "the newest recorded frame" in text_of(app))
        desk.rows = rows
        await pilot.press("full_stop")
        await auntil(lambda: shows(app, 55))


async def test_e_says_what_inspections_make_of_the_frame_in_sight_and_draws_what_they_saw() -> None:
    desk = DeskByHand(*footage("cam-1", 100))
    app = app_of(desk)
    desk.explanations = [
        Explained("cam-1.motion", "fired", "Scored 0.9, above 0.6.", (BoxSight(0.1, 0.1, 0.5, 0.5),)),
        Explained("cam-1.signal", "not inspected", "Not inspected: stopped by bob."),
    ]
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter")
        await auntil(lambda: shows(app, 50))
        await pilot.press("comma", "e")
        await auntil(lambda: "▲ cam-1.motion  FIRED  Scored 0.9" in text_of(app))
        assert "NOT INSPECTED  Not inspected: stopped by bob." in text_of(app)
        assert has_box(app)
        await pilot.press("comma")
        await auntil(lambda: ("explain", FrameId("cam-1", 1, 48)) in desk.asked)
        await pilot.press("e")
        await auntil(lambda: "cam-1.motion" not in text_of(app))


async def test_a_acknowledges_from_the_frame_and_r_shows_the_camera_live() -> None:
    desk = DeskByHand(*footage("cam-1", 100))
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter", "a")
        await auntil(lambda: ("acknowledge", "e1") in desk.asked)
        await auntil(lambda: "acknowledged: somebody" in text_of(app))
        await pilot.press("r")
        await auntil(lambda: app.wall.zoomed == "cam-1")
        assert not isinstance(app.screen, FrameScreen)
        assert app.wall.has_focus


async def test_recorded_frames_of_a_live_camera_are_one_key_away() -> None:
    desk = DeskByHand(*footage("cam-1", 100))
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("enter", "comma")
        await auntil(lambda: shows(app, 99))
        assert "RECORDED  cam-1" in text_of(app)
        await pilot.press("a")
        await auntil(lambda: "no alarm belongs to this frame" in text_of(app))


async def test_a_frame_that_is_not_on_disk_yet_is_asked_for_again() -> None:
    desk = DeskByHand()
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter")
        await auntil(lambda: "not on disk yet" in text_of(app))
        desk.rows = footage("cam-1", 100)
        await auntil(lambda: shows(app, 50))


async def test_a_frame_that_cannot_be_shown_says_why_and_the_next_one_can_be() -> None:
    desk = DeskByHand(*footage("cam-1", 100))
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        desk.fails = FailedPrecondition("frame", "gives no picture")
        await pilot.press("tab", "enter")
        await auntil(lambda: "gives no picture" in text_of(app))
        desk.fails = None
        await pilot.press("f")
        await auntil(lambda: shows(app, 45))


async def test_keys_work_while_a_frame_is_being_fetched() -> None:
    desk = DeskByHand(*footage("cam-1", 100))
    desk.answers.clear()
    app = app_of(desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter")
        await auntil(lambda: "fetching" in text_of(app))
        await pilot.press("less_than_sign", "e", "escape", "tab")
        assert app.wall.has_focus
