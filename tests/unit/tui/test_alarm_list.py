"""The alarm list as an operator uses it: order, cursor, acknowledging, comments, rights."""

import time
from dataclasses import replace

from mesh.errors import Unavailable
from mesh.ids import FrameId
from tests.desk_by_hand import DeskByHand
from tests.support import auntil
from trueframe.alarms import BoxSight, EventSight
from trueframe.bearer import Bearer
from trueframe.situation import CameraSight, Situation
from tui.app import WallApp
from tui.comment_screen import CommentScreen
from tui.event_list import SETTLE_S

SIZE = (130, 40)


def situation_of(*events: EventSight) -> Situation:
    situation = Situation()
    for camera in ("cam-1", "cam-2"):
        situation.camera_told(CameraSight(camera, camera, "live", last_received_ns=time.time_ns()))
    for one in events:
        situation.event_told(one)
    return situation


def event(number: int, alarm: str = "unacknowledged", **fields: object) -> EventSight:
    sight = EventSight(
        f"e{number}", "anomaly", "cam-1", "motion@1", f"somebody {number}", 2, 0.9,
        FrameId("cam-1", 1, 5), FrameId("cam-1", 1, 7), FrameId("cam-1", 1, 9),
        number * 1_000_000_000, 0, 0, (BoxSight(0.25, 0.25, 0.5, 0.5),), 1, alarm=alarm,
    )  # fmt: skip
    return replace(sight, **fields)  # type: ignore[arg-type]


def text_of(app: WallApp) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def asked(desk: DeskByHand, what: str) -> list[object]:
    return [about for kind, about in desk.asked if kind == what]


async def test_what_waits_stands_first_then_what_goes_on_then_what_is_over() -> None:
    over, seen = event(9, "normal", ended_ns=1), event(8, "acknowledged")
    older, newer, urgent = event(1), event(2, "returned_unacknowledged", ended_ns=1), event(0, priority=1)
    situation = situation_of(over, seen, older, newer, urgent)
    assert [one.id for one in situation.events] == ["e0", "e2", "e1", "e8", "e9"]
    app = WallApp(situation, DeskByHand())
    async with app.run_test(size=SIZE) as pilot:
        await auntil(lambda: "3 unacknowledged, 1 seen, 1 over" in text_of(app))
        await pilot.pause()
        lines = [line for line in text_of(app).splitlines() if "somebody" in line]
        assert [line.split("│")[1][1:10].strip() for line in lines[:5]] == [
            "▲1 UNACK",
            "△2 RTN",
            "▲2 UNACK",
            "▲2 ack",
            "△2 over",
        ]
        await auntil(lambda: "▲ 3 unacknowledged" in text_of(app))


async def test_the_cursor_stays_with_its_alarm_when_others_come() -> None:
    situation = situation_of(*(event(number) for number in (1, 2, 3)))
    app = WallApp(situation, DeskByHand())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "down")
        chosen = app.event_list.selected_event
        assert chosen is not None
        situation.event_told(event(4))
        await auntil(lambda: "somebody 4" in text_of(app))
        assert app.event_list.selected_event == chosen
        await pilot.press("home")
        situation.event_told(event(5))
        assert app.event_list.selected_event == event(5)


async def test_a_acknowledges_the_alarm_under_the_cursor_which_goes_on_to_the_next_one() -> None:
    desk = DeskByHand()
    app = WallApp(situation_of(event(1), event(2), event(3, "acknowledged")), desk, bearer=Bearer("bob", "operator"))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "down", "a")
        await auntil(lambda: "acknowledged: somebody 1" in text_of(app))
        assert asked(desk, "acknowledge") == ["e1"]
        assert app.event_list.selected_event == event(2)


async def test_a_key_held_down_does_not_acknowledge_the_whole_list() -> None:
    desk = DeskByHand()
    app = WallApp(situation_of(*(event(number) for number in range(9))), desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "down", "a", "a", "a", "a")
        await auntil(lambda: asked(desk, "acknowledge"))
        assert len(asked(desk, "acknowledge")) == 1
        came = app.event_list._came_at
        await auntil(lambda: time.monotonic() - came > SETTLE_S)
        await pilot.press("a")
        await auntil(lambda: len(asked(desk, "acknowledge")) == 2)


async def test_an_alarm_that_has_just_come_under_the_cursor_is_not_acknowledged() -> None:
    desk = DeskByHand()
    situation = situation_of(event(1))
    app = WallApp(situation, desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab")
        situation.event_told(event(2, priority=1))
        await pilot.press("a")
        await auntil(lambda: "has just come under the cursor" in text_of(app))
        assert not asked(desk, "acknowledge")


async def test_what_does_not_wait_is_not_acknowledged_again() -> None:
    desk = DeskByHand()
    app = WallApp(situation_of(event(1, "acknowledged", acknowledged_by="ann")), desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "down", "a")
        await auntil(lambda: "does not wait for anybody, ann did" in text_of(app))
        assert not asked(desk, "acknowledge")


async def test_one_more_occurrence_of_an_alarm_is_not_acknowledged_by_itself() -> None:
    desk = DeskByHand()
    app = WallApp(situation_of(event(1, "none", folded_into="e9")), desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "down", "a")
        await auntil(lambda: "one more occurrence" in text_of(app))
        assert not asked(desk, "acknowledge")


async def test_what_is_set_aside_says_so_and_does_not_wait() -> None:
    app = WallApp(situation_of(event(1, is_set_aside=True)), DeskByHand())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab")
        await auntil(lambda: " aside " in text_of(app))
        assert "1 unacknowledged" not in text_of(app)


async def test_a_viewer_is_told_why_a_key_does_nothing_and_sees_it_dimmed_in_the_help() -> None:
    desk = DeskByHand()
    app = WallApp(situation_of(event(1)), desk, bearer=Bearer("eve", "viewer"))
    async with app.run_test(size=(130, 75)) as pilot:
        await pilot.press("tab", "down", "a")
        await auntil(lambda: "a: needs the role operator; you are viewer" in text_of(app))
        await pilot.press("c")
        await auntil(lambda: "c: needs the role operator; you are viewer" in text_of(app))
        assert not desk.asked
        await pilot.press("question_mark")
        await auntil(lambda: "acknowledge: you have seen it (needs the role operator; you are viewer)" in text_of(app))


async def test_a_on_the_wall_acknowledges_nothing_and_says_where_it_is_done() -> None:
    desk = DeskByHand()
    app = WallApp(situation_of(event(1)), desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a")
        await auntil(lambda: "Tab leads there" in text_of(app))
        assert not desk.asked


async def test_a_refusal_of_the_service_is_told_and_the_next_try_may_succeed() -> None:
    desk = DeskByHand()
    desk.fails = Unavailable("event center", "does not answer", "Try again")
    app = WallApp(situation_of(event(1)), desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "down", "a")
        await auntil(lambda: "not acknowledged: event center: does not answer" in text_of(app))
        desk.fails = None
        await pilot.press("a")
        await auntil(lambda: "acknowledged: somebody 1" in text_of(app))


async def test_keys_work_while_an_acknowledgement_is_on_its_way() -> None:
    desk = DeskByHand()
    desk.answers.clear()
    app = WallApp(situation_of(event(1), event(2)), desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "down", "a", "tab", "right")
        assert app.wall.selected_camera == "cam-2"
        await auntil(lambda: "acknowledging: somebody 1" in text_of(app))


async def test_a_comment_is_written_in_one_line() -> None:
    desk = DeskByHand()
    app = WallApp(situation_of(event(1)), desk)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("tab", "c")
        await auntil(lambda: isinstance(app.screen, CommentScreen))
        await pilot.press(*"a fox q", "enter")
        await auntil(lambda: asked(desk, "comment") == [("e1", "a fox q")])
        await auntil(lambda: "comment kept" in text_of(app))
        await pilot.press("c", "escape")
        assert not isinstance(app.screen, CommentScreen)
        assert len(asked(desk, "comment")) == 1


async def test_one_camera_alone_has_its_own_alarms_below() -> None:
    other = event(2, camera="cam-2")
    app = WallApp(situation_of(event(1), other), DeskByHand())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("enter")
        await auntil(lambda: "ALARMS OF cam-1" in text_of(app))
        await auntil(lambda: app.event_list.region.y >= app.wall.region.bottom)
        assert app.wall.region.width == SIZE[0]
        assert "somebody 1" in text_of(app)
        assert "somebody 2" not in text_of(app)
        await pilot.press("escape")
        await auntil(lambda: "somebody 2" in text_of(app))


async def test_alarms_that_wait_are_kept_when_there_are_too_many_events() -> None:
    situation = situation_of(event(1))
    for number in range(2, 1200):
        situation.event_told(event(number, "normal", ended_ns=1))
    assert situation.events[0].id == "e1"
    assert situation.events_let_go > 0
