"""The judge over hand-made scores."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from aggregate.judge import Finding, JudgeState, Verdict, end, judge_all, state_document, state_from_document
from aggregate.orders import Area
from aggregate.rules import SECOND, Rules
from mesh.ids import FrameId

RULES = Rules(0.6, 0.65, min_duration_ns=300_000_000, merge_gap_ns=3 * SECOND)
TENTH = SECOND // 10
BOX = Area(0.1, 0.2, 0.3, 0.4, "motion", 0.9)


def verdict(seq: int, score: float, *, reason: int = 0, count: int = 1, epoch: int = 1) -> Verdict:
    boxes = (BOX,) if score >= 0.6 else ()
    return Verdict(FrameId("yard", epoch, seq), 1_000 * SECOND + seq * TENTH, score, boxes, reason, count)


def run(scores: list[float | None], state: JudgeState | None = None) -> tuple[JudgeState, list[Finding]]:
    """None stands for a frame with a reason instead of a score."""
    verdicts = [verdict(i, s) if s is not None else verdict(i, 0.0, reason=1) for i, s in enumerate(scores)]
    return judge_all(state or JudgeState(), RULES, "yard.motion", verdicts)


def phases(findings: list[Finding]) -> list[str]:
    return [finding.phase for finding in findings]


def test_quiet_scores_make_no_anomaly() -> None:
    assert run([0.1, 0.5, 0.59] * 30)[1] == []


def test_scores_that_hold_for_the_minimum_duration_open_an_anomaly_at_their_first_frame() -> None:
    _, findings = run([0.1, 0.7, 0.8, 0.7, 0.7])
    assert phases(findings) == ["opened"]
    anomaly = findings[0].anomaly
    assert (anomaly.first.seq, anomaly.peak.seq, anomaly.last.seq, anomaly.version) == (1, 2, 4, 1)
    assert anomaly.boxes == (BOX,)


def test_a_flash_shorter_than_the_minimum_duration_is_no_anomaly() -> None:
    assert run([0.1, 0.9, 0.9, 0.9, 0.1] * 5)[1] == []


def test_scores_between_the_two_thresholds_keep_an_anomaly_open_but_do_not_begin_one() -> None:
    assert run([0.5] * 100)[1] == []
    _, findings = run([0.7] * 4 + [0.45] * 100)
    assert "closed" not in phases(findings)


def test_low_scores_for_the_merge_gap_close_it_at_its_last_abnormal_frame() -> None:
    _, findings = run([0.7] * 5 + [0.1] * 31)
    assert phases(findings) == ["opened", "closed"]
    closed = findings[-1].anomaly
    assert closed.last.seq == 4
    assert closed.version == 2


def test_a_break_shorter_than_the_merge_gap_stays_one_anomaly() -> None:
    _, findings = run(([0.7] * 5 + [0.1] * 25) * 4 + [0.1] * 10)
    assert phases(findings).count("opened") == 1
    assert phases(findings).count("closed") == 1


def test_updates_come_at_most_once_a_second() -> None:
    _, findings = run([0.7 + i / 1000 for i in range(60)])
    assert phases(findings) == ["opened"] + ["updated"] * 5
    assert [f.anomaly.version for f in findings] == [1, 2, 3, 4, 5, 6]


def test_frames_without_a_score_do_not_close_an_anomaly() -> None:
    _, findings = run([0.7] * 5 + [0.1] * 20 + [None] * 20 + [0.1] * 20)
    assert "closed" not in phases(findings)


def test_frames_without_a_score_for_longer_than_the_silence_close_it() -> None:
    _, findings = run([0.7] * 5 + [None] * 120)
    assert phases(findings)[-1] == "closed"


def test_an_anomaly_ends_when_the_camera_was_not_seen_for_longer_than_the_silence() -> None:
    state, _ = run([0.7] * 5)
    state, findings = judge_all(state, RULES, "yard.motion", [verdict(500, 0.9, epoch=2)])
    assert phases(findings) == ["closed"]
    assert state.current is not None
    assert state.current.first == FrameId("yard", 2, 500)


def test_a_verdict_heard_twice_counts_once() -> None:
    verdicts = [verdict(i, 0.7) for i in range(8)]
    once, said_once = judge_all(JudgeState(), RULES, "i", verdicts)
    twice, said_twice = judge_all(once, RULES, "i", verdicts)
    assert twice == once
    assert said_twice == []
    assert said_once


def test_a_run_of_reasons_counts_each_of_its_frames_once() -> None:
    state, _ = judge_all(JudgeState(), RULES, "i", [verdict(0, 0.1), verdict(1, 0, reason=2, count=10)])
    state, _ = judge_all(state, RULES, "i", [verdict(5, 0, reason=2, count=10), verdict(15, 0.1)])
    assert (state.scored, state.skipped) == (2, 14)
    assert state.last == FrameId("yard", 1, 15)


def test_the_end_of_an_inspection_closes_what_is_open() -> None:
    state, _ = run([0.7] * 5)
    state, findings = end(state, 5_000 * SECOND)
    assert phases(findings) == ["closed"]
    assert state.current is None


@given(
    scores=st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=120),
    cuts=st.lists(st.integers(0, 120), max_size=4),
)
def test_a_judge_that_is_stopped_stored_and_fed_again_says_the_same(
    scores: list[float | None], cuts: list[int]
) -> None:
    whole, said = run(scores)
    verdicts = [verdict(i, s) if s is not None else verdict(i, 0.0, reason=1) for i, s in enumerate(scores)]
    state, parts = JudgeState(), []
    at = 0
    for cut in [*sorted(min(c, len(verdicts)) for c in cuts), len(verdicts)]:
        state, findings = judge_all(state, RULES, "yard.motion", verdicts[max(0, at - 7) : cut])
        parts += findings
        state = state_from_document(json.loads(json.dumps(state_document(state))))
        at = cut
    assert parts == said
    assert state == whole


@given(scores=st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=200))
def test_every_anomaly_opens_once_closes_at_most_once_and_its_versions_count_up(scores: list[float | None]) -> None:
    state, findings = run(scores)
    assert state.scored + state.skipped == len(scores)
    by_id: dict[str, list[Finding]] = {}
    for finding in findings:
        by_id.setdefault(finding.anomaly.id, []).append(finding)
    for story in by_id.values():
        assert [f.anomaly.version for f in story] == list(range(1, len(story) + 1))
        assert story[0].phase == "opened"
        assert all(f.phase == "updated" for f in story[1:-1])
        assert story[0].anomaly.first <= story[-1].anomaly.peak <= story[-1].anomaly.last
