"""Drawn benchmarks for normality: repeatable, abnormal where they say so."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks import normality_guides
from benchmarks.normality_guides import HEIGHT, WIDTH, Guide, write
from detector_pool.evaluation.dataset import open_dataset


def test_equal_seeds_draw_equal_pictures_and_others_another_place() -> None:
    one, again, other = (
        next(iter(Guide("along", seed).clip(0, None)))[0].astype(np.int16) for seed in (1_000, 1_000, 1_001)
    )
    assert one.shape == (HEIGHT, WIDTH)
    assert np.array_equal(one, again)
    assert np.abs(one - other).mean() > 5


def test_only_clips_that_are_to_be_abnormal_are_and_from_where_they_are_to() -> None:
    guide = Guide("crossing", 1_000)
    assert not any(odd for _, odd in islice(guide.clip(0, None), 40))
    from_the_first = [odd for _, odd in islice(guide.clip(16, (0.0, 1.0)), 10)]
    assert all(from_the_first)
    assert not any(odd for _, odd in islice(guide.clip(20, (0.9, 1.0)), 40))


def test_a_written_guide_is_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normality_guides, "TRAIN_CLIPS", 1)
    monkeypatch.setattr(normality_guides, "SPANS", ((0.0, 1.0),))
    guide = Guide("aslant", 1_000)
    monkeypatch.setattr(guide, "clip", lambda number, span: islice(Guide.clip(guide, number, span), 3))
    write(tmp_path, guide)
    found = open_dataset(tmp_path)
    assert [clip.count() for clip in found.train] == [3]
    assert [one.labels.tolist() for one in found.test] == [[True] * 3]
