from dataclasses import replace

from rich.cells import cell_len
from rich.style import Style

from trueframe.alarms import EventSight
from trueframe.bearer import Bearer
from trueframe.situation import CameraSight, Situation
from tui.event_list import event_line, short_age
from tui.frame_picture import hints
from tui.keys import TABLE
from tui.palette import ALARM, ALARM_TEXT, DIMMED, PAST, STATES, has_true_colour
from tui.status import alarm_text, status_line
from tui.tile import SECOND_NS, fit, header, wrapped

NAMES = ["gate", "Südtor Nord 北门监控摄像头 very long name that does not fit", ""]


def test_every_line_is_exactly_as_wide_as_it_should_be() -> None:
    event = EventSight("e", "anomaly", "cam-1", "motion@1", "北门 " * 30, 2, 0.5, started_ns=SECOND_NS)
    for width in range(1, 90):
        for name in NAMES:
            for state in STATES:
                line = header(CameraSight("x", name, state), 3 * SECOND_NS, width, False)
                assert sum(cell_len(text) for text, _ in line) == width, (width, name, state, line)
        assert sum(cell_len(text) for text, _ in event_line(event, width, False, 9 * SECOND_NS)) == width
        assert cell_len(fit("北门北门", width)) == width


def test_why_a_camera_gives_no_picture_is_wrapped_and_cut_last() -> None:
    reason = ["▲ LOST 2.8 s", "camera at 192.0.2.11:554: cannot be reached (No route to host). Check the address."]
    whole = wrapped(reason, 35, 5)
    assert " ".join(whole) == " ".join(reason)
    assert whole[0] == reason[0]
    assert wrapped(reason, 35, 2) == [reason[0], "camera at 192.0.2.11:554: cannot…"]
    assert wrapped(reason, 35, 1) == reason[:1]
    for width in range(4, 90):
        for most in range(6):
            pieces = wrapped(reason, width, most)
            assert len(pieces) <= most
            assert all(len(piece) <= width for piece in pieces)


def test_every_alarm_state_has_a_shape_a_word_and_the_alarm_colour() -> None:
    for state, badge in STATES.items():
        is_alarm = CameraSight("x", "x", state).is_alarm
        assert (badge.style == ALARM) == is_alarm
        assert (badge.mark == "▲") == is_alarm
        assert badge.word


def test_a_live_camera_whose_picture_is_old_says_so_in_alarm_colour() -> None:
    live = CameraSight("x", "x", "live")
    assert header(live, 5 * SECOND_NS, 40, False)[-1] == (" 5.0 s ", ALARM)
    assert header(live, SECOND_NS // 10, 40, False)[-1][1] != ALARM
    assert header(live, None, 40, False)[-1][0].strip() == "no picture"


def alarm(state: str, **fields: object) -> EventSight:
    return EventSight("e", "anomaly", "gate", "motion@1", "x", 2, started_ns=SECOND_NS, alarm=state, **fields)  # type: ignore[arg-type]


def head(event: EventSight, lit: bool) -> tuple[str, Style]:
    return event_line(event, 40, False, 5 * SECOND_NS, lit=lit)[0]


def test_an_alarm_is_coded_by_shape_word_and_colour_and_blinks_only_while_nobody_has_acknowledged_it() -> None:
    waits, gone = alarm("unacknowledged"), alarm("returned_unacknowledged", ended_ns=2 * SECOND_NS)
    seen, over = alarm("acknowledged"), alarm("normal", ended_ns=2 * SECOND_NS)
    assert [head(one, True)[0] for one in (waits, gone, seen, over)] == [
        " ▲2 UNACK ",
        " △2 RTN   ",
        " ▲2 ack   ",
        " △2 over  ",
    ]
    for blinks in (waits, gone):
        assert head(blinks, True)[1] != head(blinks, False)[1]
    for steady in (seen, over):
        assert head(steady, True)[1] == head(steady, False)[1]
    assert head(over, True)[1] == PAST
    assert head(seen, True)[1].color is not None
    assert head(seen, True)[1].color != PAST.color


def test_priorities_have_colours_of_their_own() -> None:
    colours = {head(replace(alarm("acknowledged"), priority=priority), True)[1].color for priority in (1, 2, 3, 4)}
    assert len(colours) == 4


def test_an_age_takes_four_cells_whatever_it_is() -> None:
    ages = [0, 59, 60, 3599, 3600, 86399, 86400, 400 * 86400, 10**9, -5]
    assert [short_age(age * SECOND_NS) for age in ages][:5] == ["  0s", " 59s", "  1m", " 59m", "  1h"]
    assert all(len(short_age(age * SECOND_NS)) == 4 for age in ages)


def test_a_tile_shows_the_most_urgent_alarm_of_its_camera() -> None:
    line = header(CameraSight("x", "gate", "live"), 0, 40, False, (" ▲2 ", ALARM))
    assert "".join(text for text, _ in line).startswith(" ● LIVE  ▲2  gate")


def test_a_key_that_the_bearer_cannot_use_is_dimmed_and_says_why() -> None:
    text = dict(hints(Bearer("eve", "viewer")))
    assert text["a ack: needs the role operator; you are viewer  "] == DIMMED
    assert all(style != DIMMED for _, style in hints(Bearer("bob", "operator")))
    assert all(style != DIMMED for _, style in hints(Bearer()))


def test_a_silent_service_is_told_by_name_and_for_how_long() -> None:
    situation = Situation()
    assert alarm_text(situation, 0) == ""
    situation.link_told("media_center", False, SECOND_NS)
    assert "media center does not answer (4.0 s)" in alarm_text(situation, 5 * SECOND_NS)
    assert ("link 1 of 5 DOWN", ALARM_TEXT) in status_line(situation, Bearer("op", "operator"), 5 * SECOND_NS)


def test_the_status_line_tells_cameras_events_zone_and_user() -> None:
    situation = Situation()
    situation.camera_told(CameraSight("a", "a", "live"))
    situation.camera_told(CameraSight("b", "b", "lost"))
    text = "".join(text for text, _ in status_line(situation, Bearer("op", "operator"), 5 * SECOND_NS))
    assert "1/2 live" in text
    assert "▲ 1 without picture" in text
    assert "op" in text
    assert ":00:05 " in text or ":30:05 " in text
    assert "no alarm waits" in text
    assert "clock" not in text
    situation.camera_told(CameraSight("a", "a", "live", clock_detail="Its clock jumped by +3.0 s."))
    text = "".join(text for text, _ in status_line(situation, Bearer("op", "operator"), 5 * SECOND_NS))
    assert "  1 wrong clock  " in text
    situation.event_told(alarm("unacknowledged"))
    text = "".join(text for text, _ in status_line(situation, Bearer("op", "viewer"), 0, notice=""))
    assert "▲ 1 unacknowledged" in text
    assert "op (viewer)" in text
    assert "because" in "".join(text for text, _ in status_line(situation, Bearer(), 0, notice="because"))


def test_every_key_has_an_id_of_its_own() -> None:
    ids = [key.id for keys in TABLE.values() for key in keys]
    assert len(ids) == len(set(ids))


def test_true_colour_is_what_the_terminal_says() -> None:
    assert has_true_colour({"COLORTERM": "truecolor"})
    assert not has_true_colour({"TERM": "xterm-256color"})
