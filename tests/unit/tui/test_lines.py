from rich.cells import cell_len

from trueframe.situation import CameraSight, EventSight, Situation
from tui.event_list import event_line
from tui.keys import TABLE
from tui.palette import ALARM, ALARM_TEXT, STATES, has_true_colour
from tui.status import alarm_text, status_line
from tui.tile import SECOND_NS, fit, header

NAMES = ["gate", "Südtor Nord 北门监控摄像头 very long name that does not fit", ""]


def test_every_line_is_exactly_as_wide_as_it_should_be() -> None:
    event = EventSight("e", "anomaly", "cam-1", "motion@1", "北门 " * 30, 2, 0.5, started_ns=SECOND_NS)
    for width in range(1, 90):
        for name in NAMES:
            for state in STATES:
                line = header(CameraSight("x", name, state), 3 * SECOND_NS, width, False)
                assert sum(cell_len(text) for text, _ in line) == width, (width, name, state, line)
        assert sum(cell_len(text) for text, _ in event_line(event, width, False)) == width
        assert cell_len(fit("北门北门", width)) == width


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


def test_an_event_that_is_over_keeps_its_shape_hollow_and_loses_its_colour() -> None:
    going_on = EventSight("e", "anomaly", "gate", "motion@1", "x", 2, started_ns=SECOND_NS)
    over = EventSight("e", "anomaly", "gate", "motion@1", "x", 2, started_ns=SECOND_NS, ended_ns=2 * SECOND_NS)
    assert event_line(going_on, 40, False)[0][0].startswith(" ▲2")
    assert event_line(going_on, 40, False)[0][1] == ALARM_TEXT
    assert event_line(over, 40, False)[0][0].startswith(" △2")
    assert event_line(over, 40, False)[0][1] != ALARM_TEXT


def test_a_silent_service_is_told_by_name_and_for_how_long() -> None:
    situation = Situation()
    assert alarm_text(situation, 0) == ""
    situation.link_told("media_center", False, SECOND_NS)
    assert "media center does not answer (4.0 s)" in alarm_text(situation, 5 * SECOND_NS)
    assert ("link 1 of 5 DOWN", ALARM_TEXT) in status_line(situation, "op", 5 * SECOND_NS)


def test_the_status_line_tells_cameras_events_zone_and_user() -> None:
    situation = Situation()
    situation.camera_told(CameraSight("a", "a", "live"))
    situation.camera_told(CameraSight("b", "b", "lost"))
    text = "".join(text for text, _ in status_line(situation, "op", 5 * SECOND_NS))
    assert "1/2 live" in text
    assert "▲ 1 without picture" in text
    assert "op" in text
    assert ":00:05 " in text or ":30:05 " in text


def test_every_key_has_an_id_of_its_own() -> None:
    ids = [key.id for keys in TABLE.values() for key in keys]
    assert len(ids) == len(set(ids))


def test_true_colour_is_what_the_terminal_says() -> None:
    assert has_true_colour({"COLORTERM": "truecolor"})
    assert not has_true_colour({"TERM": "xterm-256color"})
