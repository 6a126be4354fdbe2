"""The record that a segment has while it is written is the one that its rows give."""

from __future__ import annotations

import random
from pathlib import Path

from media_center import rows
from media_center.catalogue import Segment, summarise
from media_center.cutter import Cutter, Limits
from media_center.index import load_rows
from media_center.lane import Lane
from media_center.rows import RowBox
from media_center.scan import scan
from tests.footage import SECOND, Script, record

LIMITS = Limits(fragment_ns=SECOND, segment_ns=3 * SECOND, max_segment_ns=6 * SECOND)


def story(dice: random.Random) -> Script:
    script = Script().start()
    for _ in range(120):
        happens = dice.random()
        if happens < 0.06:
            script.gap(count=dice.randint(1, 9))
        elif happens < 0.1:
            script.skip(dice.randint(1, 5))
        elif happens < 0.13:
            script.end().start(script.epoch + 7)
        script.frame(join=2 if script.seq % 7 == 0 else 1)
    return script.end()


def test_records_grow_by_fragments_as_their_rows_say(tmp_path: Path) -> None:
    for seed in range(12):
        root = tmp_path / f"{seed}"
        root.mkdir()
        lane, cutter = Lane("gate", root / "gate", None), Cutter("gate", LIMITS)
        known: list[Segment] = []
        for item in story(random.Random(seed)).items:
            for fragment in cutter.take(item, 0):
                assert lane.write(fragment, 1) is None
                assert lane.sync(1) is None
                commit = lane.commit()
                known += commit.closed
                assert commit.open is not None
                rows_now = load_rows(root / "gate" / commit.open.name, commit.open.size, is_open=True)
                assert commit.open == summarise(commit.open.name, rows_now)
        lane.close()
        assert known
        assert [summarise(one.name, load_rows(root / "gate" / one.name)) for one in known] == known


def test_few_rows_and_many_are_judged_alike(tmp_path: Path) -> None:
    record(tmp_path / "media", Script().start().frames(30).gap().frames(20).items, limits=Limits())
    (segment,) = (tmp_path / "media" / "gate").glob("*.mp4")
    boxes = scan(segment).boxes
    dice = random.Random(3)
    outcomes = set()
    for _ in range(2000):
        number = dice.randrange(len(boxes))
        box = boxes[number]
        changed = box.rows.copy()
        row = dice.randrange(len(changed))
        field = dice.choice(("kind", "seq", "offset", "size"))
        changed[field][row] = dice.choice((0, 1, 2, 4, 5, int(changed[field][row]) + dice.choice((-1, 1)) & 0xFF))
        spoilt = RowBox(
            box.camera, box.epoch, box.number, box.block_offset, box.media_size, box.box_offset, box.box_size,
            box.moof_crc, changed, box.notes, box.notes_offset,
        )  # fmt: skip
        few, many = _refuses(spoilt, 64), _refuses(spoilt, 0)
        assert few == many, (field, changed[row])
        outcomes.add(few)
    assert outcomes == {True, False}


def _refuses(box: RowBox, few: int) -> bool:
    was = rows._FEW_ROWS
    rows._FEW_ROWS = few  # type: ignore[misc]
    try:
        rows._check_bounds(box)
    except rows.MalformedRows:
        return True
    finally:
        rows._FEW_ROWS = was  # type: ignore[misc]
    return False
