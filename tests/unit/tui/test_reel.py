from mesh.ids import FrameId
from tests.desk_by_hand import footage
from tui.reel import MOST_ROWS, Reel, Row


def frame(seq: int, epoch: int = 1) -> FrameId:
    return FrameId("gate", epoch, seq)


def test_a_step_leads_to_the_neighbour_in_recorded_order_over_epochs_and_holes() -> None:
    reel = Reel()
    after_hole = Row(frame(7), 900, "2 frames missing: network loss")
    rows = [*footage("gate", 5), after_hole, Row(frame(0, epoch=9), 1000)]
    reel.start_at(rows[2])
    reel.extend(rows)
    assert reel.neighbour(frame(4), 1) == after_hole
    assert reel.neighbour(frame(7), 1) == rows[-1]
    assert reel.neighbour(frame(0, epoch=9), -2) == rows[4]
    assert reel.neighbour(frame(0), -1) is None
    assert reel.margins(frame(2)) == (2, 4)


def test_rows_that_touch_nothing_known_are_not_taken() -> None:
    reel = Reel()
    rows = footage("gate", 50)
    reel.start_at(rows[0])
    reel.extend(rows[20:30])
    assert len(reel) == 1
    reel.extend(rows[:30])
    assert len(reel) == 30


def test_another_place_begins_a_new_stretch_and_a_known_one_keeps_it() -> None:
    reel = Reel()
    rows = footage("gate", 50)
    reel.start_at(rows[0])
    reel.extend(rows[:20])
    reel.begins = True
    reel.start_at(rows[10])
    assert len(reel) == 20
    assert reel.begins
    reel.start_at(rows[40])
    assert (len(reel), reel.begins) == (1, False)
    assert reel.first == reel.last == rows[40]


def test_what_is_far_away_is_let_go() -> None:
    reel = Reel()
    rows = footage("gate", MOST_ROWS + 500)
    reel.start_at(rows[0])
    reel.extend(rows)
    reel.begins = True
    reel.trim(rows[-1].id)
    assert len(reel) == MOST_ROWS
    assert reel.last == rows[-1]
    assert not reel.begins
    assert reel.neighbour(rows[-1].id, -5) == rows[-6]
