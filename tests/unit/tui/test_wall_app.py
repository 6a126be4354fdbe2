"""The app as a user drives it, without services: a situation by hand, keys, what is on the screen."""

import time
from dataclasses import replace

from mesh.ids import FrameId
from tests.desk_by_hand import DeskByHand
from tests.support import auntil
from trueframe.situation import CameraSight, Picture, Situation
from tui.app import WallApp
from tui.help_screen import HelpScreen
from tui.strips import ReadyStrip

SIZE = (130, 40)


def situation_of(cameras: int) -> Situation:
    situation = Situation()
    for number in range(cameras):
        camera = f"cam-{number + 1}"
        situation.camera_told(CameraSight(camera, camera, "live", last_received_ns=time.time_ns()))
    return situation


def picture(camera: str, colour: tuple[int, int, int], seq: int = 0, size: tuple[int, int] = (16, 8)) -> Picture:
    rgb = bytes(colour) * (size[0] * size[1])
    return Picture(FrameId(camera, 1, seq), time.time_ns(), *size, rgb, False, time.time_ns())


def text_of(app: WallApp) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def test_every_camera_has_a_tile_with_its_state_and_the_age_of_its_picture() -> None:
    situation = situation_of(3)
    situation.camera_told(CameraSight("cam-2", "Südtor", "lost", time.time_ns(), "no route to host"))
    app = WallApp(situation, DeskByHand(), true_colour=True)
    async with app.run_test(size=SIZE) as pilot:
        situation.picture_arrived(picture("cam-1", (1, 2, 3)))
        await auntil(lambda: "<1 s" in text_of(app).splitlines()[0])
        await pilot.pause()
        text = text_of(app)
        assert "● LIVE  cam-1" in text
        assert "▲ LOST" in text
        assert "Südtor" in text
        assert "no route to host" in text
        assert "2/3 live" in text


async def test_the_picture_on_the_wall_is_the_newest_one() -> None:
    situation = situation_of(1)
    app = WallApp(situation, DeskByHand(), true_colour=True)
    async with app.run_test(size=SIZE):
        for seq, colour in enumerate([(200, 0, 0), (0, 200, 0), (0, 0, 200)]):
            situation.picture_arrived(picture("cam-1", colour, seq))
        row = app.wall.grid.picture_rows // 2 + 1
        await auntil(
            lambda: isinstance(app.wall._strips[row], ReadyStrip) and "2;0;0;200" in app.wall._strips[row]._ansi
        )
        assert situation.pictures_replaced == 2


async def test_a_tick_without_news_writes_nothing() -> None:
    situation = situation_of(4)
    app = WallApp(situation, DeskByHand(), true_colour=True)
    async with app.run_test(size=SIZE) as pilot:
        for number in range(4):
            still = picture(f"cam-{number + 1}", (9, 9, 9))
            situation.picture_arrived(replace(still, received_ns=time.time_ns() - 3_600_000_000_000))
        ticks = app.ticks
        await auntil(lambda: app.ticks > ticks + 2)
        before = list(app.wall._strips)
        ticks = app.ticks
        await auntil(lambda: app.ticks > ticks + 2)
        await pilot.pause()
        assert all(now is then for now, then in zip(app.wall._strips, before, strict=True))


async def test_arrow_keys_move_and_enter_shows_one_camera_large() -> None:
    app = WallApp(situation_of(4), DeskByHand(), true_colour=True)
    wanted: list[tuple[int, int, tuple[str, ...]]] = []
    app._want_pictures = lambda width, height, cameras: wanted.append((width, height, cameras))
    async with app.run_test(size=SIZE) as pilot:
        await auntil(lambda: wanted)
        small = wanted[-1]
        await pilot.press("right", "down")
        assert app.wall.selected_camera == "cam-4"
        await pilot.press("enter")
        await auntil(lambda: wanted[-1][0] > small[0])
        assert app.wall.zoomed == "cam-4"
        assert wanted[-1][2] == ("cam-4",)
        await pilot.press("escape")
        await auntil(lambda: wanted[-1] == small)
        assert app.wall.selected_camera == "cam-4"


async def test_only_the_cameras_of_the_page_in_sight_are_asked_for() -> None:
    wanted: list[tuple[str, ...]] = []
    app = WallApp(situation_of(60), DeskByHand(), true_colour=True)
    app._want_pictures = lambda width, height, cameras: wanted.append(cameras)
    async with app.run_test(size=(80, 24)) as pilot:
        await auntil(lambda: wanted)
        first = wanted[-1]
        pages = app.wall.grid.pages(60)
        assert 1 < len(first) == app.wall.grid.per_page < 60
        await pilot.press("pagedown")
        await auntil(lambda: wanted[-1] != first)
        assert not set(first) & set(wanted[-1])
        await auntil(lambda: f"page 2/{pages}" in text_of(app))


async def test_a_silent_service_is_an_alarm_above_everything_until_it_answers() -> None:
    situation = situation_of(1)
    app = WallApp(situation, DeskByHand(), true_colour=True)
    async with app.run_test(size=SIZE):
        situation.link_told("media_center", False, time.time_ns())
        await auntil(lambda: "▲ ALARM  media center does not answer" in text_of(app).splitlines()[0])
        situation.link_told("media_center", True, time.time_ns())
        await auntil(lambda: "▲ ALARM" not in text_of(app))


async def test_help_shows_every_key_and_alarms_stay_in_sight() -> None:
    situation = situation_of(1)
    app = WallApp(situation, DeskByHand(), true_colour=True)
    async with app.run_test(size=(130, 70)) as pilot:
        situation.picture_arrived(picture("cam-1", (10, 200, 30)))
        await pilot.press("question_mark")
        await auntil(lambda: isinstance(app.screen, HelpScreen))
        await auntil(lambda: "its recorded frame, with its box" in text_of(app))
        situation.link_told("broker", False, time.time_ns())
        await auntil(lambda: "▲ ALARM  broker does not answer" in text_of(app))
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


async def test_a_narrow_terminal_has_the_events_below_the_wall() -> None:
    app = WallApp(situation_of(1), DeskByHand(), true_colour=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.event_list.region.y >= app.wall.region.bottom
        await pilot.resize_terminal(130, 40)
        await auntil(lambda: app.event_list.region.x >= app.wall.region.right)


async def test_q_leaves_with_a_code_that_says_whether_anything_was_live() -> None:
    app = WallApp(situation_of(1), DeskByHand(), true_colour=True)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("q")
    assert app.return_value == 0
    app = WallApp(Situation(), DeskByHand(), true_colour=True)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("q")
    assert app.return_value == 1
