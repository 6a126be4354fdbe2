"""Events, delays and false alarms at a rate."""

from __future__ import annotations

import numpy as np

from detector_pool.evaluation.alarms import TimedClip, _row, at_rates, events_of
from detector_pool.evaluation.metrics import Scored

STEP_NS = 100_000_000


def timed(scores: list[float], labels: list[int]) -> TimedClip:
    frames = len(scores)
    return TimedClip(
        Scored("c", np.array(scores), np.array(labels, dtype=bool)), np.arange(frames, dtype=np.int64) * STEP_NS
    )


def test_events_are_runs_of_abnormal_frames() -> None:
    assert events_of(np.array([1, 1, 0, 0, 1, 0, 1], dtype=bool)) == [(0, 1), (4, 4), (6, 6)]
    assert events_of(np.zeros(3, dtype=bool)) == []


def test_an_event_is_found_with_the_delay_to_its_first_high_score() -> None:
    clip = timed([0.1] * 50 + [0.1] * 7 + [0.9] * 3 + [0.1] * 40, [0] * 50 + [1] * 10 + [0] * 40)
    rows = at_rates([clip])
    assert [(row.rate_per_hour, row.events, row.found, row.delay_s) for row in rows] == [
        (0.1, 1, 1, 0.7),
        (1.0, 1, 1, 0.7),
        (6.0, 1, 1, 0.7),
    ]
    assert all(row.is_provisional and row.false_alarms == 0 for row in rows)


def test_an_event_below_the_highest_normal_score_is_missed_at_rare_rates() -> None:
    clip = timed([0.1] * 50 + [0.6] * 5 + [0.5] * 10 + [0.1] * 40, [0] * 55 + [1] * 10 + [0] * 40)
    (row,) = at_rates([clip], [1.0])
    assert (row.found, row.delay_s, row.events) == (0, None, 1)


def test_high_scores_without_an_event_are_false_alarms_and_those_close_together_one() -> None:
    scores = [0.1] * 100 + [0.9, 0.1, 0.9] + [0.1] * 100 + [0.9] + [0.1] * 50 + [0.9] * 3
    labels = [0] * (len(scores) - 5) + [1] * 5
    clip = timed(scores, labels)
    row = _row([clip], 1.0, 0.5, False)
    # The two that lie 0.2 s apart are one, the lone one another, the last touches the event.
    assert (row.false_alarms, row.found, row.delay_s) == (2, 1, 0.2)


def test_without_normal_frames_there_is_nothing_to_calibrate_on() -> None:
    assert at_rates([timed([0.5, 0.6], [1, 1])]) == []


def test_clips_of_many_minutes_give_a_threshold_that_is_not_provisional() -> None:
    random = np.random.default_rng(3)
    frames = 10 * 60 * 30
    scores = (1 - np.exp(-random.exponential(1.0, frames))).clip(0, 0.999999)
    rows = at_rates([timed(list(scores), [0] * frames)], [6.0])
    assert not rows[0].is_provisional
    assert rows[0].false_alarms <= 9
