"""Verdicts as lines of CSV, and differences between two models."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from detector_pool.client import Again, NoScore, Observation
from mesh.ids import FrameId
from trueframe.commands.observations import COLUMNS, rows_of
from trueframe.commands.reinspect_with import Difference, show_difference
from trueframe.v1 import events_pb2, frames_pb2, inspection_pb2


def entry(verdict: inspection_pb2.Verdict) -> inspection_pb2.LedgerEntry:
    verdict.id.CopyFrom(frames_pb2.FrameId(camera="gate", epoch=7, seq=3))
    return inspection_pb2.LedgerEntry(inspection="gate.pose", detector="pose@1", verdict=verdict)


def test_a_frame_and_each_of_its_boxes_is_a_line() -> None:
    box = events_pb2.Box(x=0.1, y=0.2, width=0.3, height=0.4, label="person", score=0.9, track=12)
    box.key_points.add(x=0.25, y=0.5, score=1.0)
    box.key_points.add(x=0.75, y=0.5, score=0.5)
    verdict = inspection_pb2.Verdict(received_ns=10**18, score=0.75, boxes=[box], said="fell")
    verdict.series.add(name="count.person", value=1)
    frame, person = rows_of(entry(verdict))
    assert set(frame) | set(person) <= set(COLUMNS)
    assert (frame["frame"], frame["kind"], frame["score"], frame["series"]) == (
        "gate/7/3", "frame", "0.75", "count.person=1",
    )  # fmt: skip
    assert (person["kind"], person["track"], person["label"]) == ("box", 12, "person")
    assert person["key_points"] == "0.25:0.5:1 0.75:0.5:0.5"
    assert float(str(person["x"])) == pytest.approx(0.1)


def test_a_reason_is_told_instead_of_a_score_with_its_frames() -> None:
    verdict = inspection_pb2.Verdict(reason=inspection_pb2.NO_VERDICT_REASON_WARMING_UP, count=20)
    (row,) = rows_of(entry(verdict))
    assert (row["score"], row["reason"], row["frames"], row["received"]) == ("", "warming_up", 20, "")


def again(seq: int, then: float | None, now: float | None) -> Again:
    def said(score: float | None) -> Observation:
        return Observation(reason=NoScore.WARMING_UP) if score is None else Observation(score)

    return Again(FrameId("gate", 7, seq), 10**18 + seq, "normality@1:aaaa", said(then), said(now))


def frames() -> Iterable[Again]:
    yield again(1, 0.25, None)
    yield again(2, 0.25, 0.5)
    yield again(3, 0.75, 0.25)
    yield Again(FrameId("gate", 7, 4), 10**18, "normality@1:aaaa", Observation(0.5), None)


def test_differences_are_told_frame_by_frame_and_in_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    difference = Difference("gate.normality", 0.6)
    file = tmp_path / "d.csv"
    show_difference(frames(), difference, "normality@1:bbbb", each_frame=True, as_json=True, file=file)
    *rows, total = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [row["difference"] for row in rows] == [None, 0.25, -0.5, None]
    assert [row["crosses"] for row in rows] == [False, False, True, False]
    assert (rows[0]["now_reason"], rows[3]["now_reason"]) == ("warming up", "not recorded")
    assert (total["frames"], total["both_scored"], total["only_then"]) == (4, 2, 2)
    assert (total["mean_difference"], total["greatest_difference"]) == (0.375, 0.5)
    assert (total["greatest_at"], total["above_then"], total["above_now"]) == ("gate/7/3", 1, 0)
    with file.open() as lines:
        assert [row["difference"] for row in csv.DictReader(lines)] == ["", "0.25", "-0.5", ""]


def test_the_table_says_who_spoke_then_and_now(capsys: pytest.CaptureFixture[str]) -> None:
    show_difference(
        frames(), Difference("gate.normality", 0.6), "normality@1:bbbb", each_frame=True, as_json=False, file=None
    )
    text = capsys.readouterr().out
    assert "then 0.7500  now 0.2500  -0.5000  CROSSES" in text
    assert "normality@1:aaaa  normality@1:bbbb" in text
    assert "1 frames are above the threshold" in text
