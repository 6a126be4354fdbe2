"""Scores of clips over time beside what happened in them, and the ROC curve of all: one PNG. Drawn with Pillow alone.

What should not be in this module: running detectors (`detector_pool`), options and files (`commands.evaluate`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from trueframe.drawing import BACKGROUND, fitting, font

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detector_pool.client import ClipResult, Evaluation

_WIDTH, _STRIP, _MARGIN, _NAME = 1200, 64, 12, 150
_ROC = 260
_MOST_CLIPS = 60
_GRID, _TEXT, _LINE, _ABNORMAL, _THRESHOLD = (
    (60, 60, 60),
    (230, 230, 230),
    (210, 210, 210),
    (120, 40, 20),
    (255, 200, 0),
)


def score_plot(found: Evaluation, title: str) -> bytes:
    """A PNG: the figures and the ROC curve above, beneath them a strip for each clip, abnormal frames shaded."""
    shown = found.clips[:_MOST_CLIPS]
    height = _ROC + 3 * _MARGIN + len(shown) * (_STRIP + 6) + (20 if len(shown) < len(found.clips) else 0)
    image = Image.new("RGB", (_WIDTH, height), BACKGROUND)
    pen = ImageDraw.Draw(image)
    _figures(pen, found, title)
    _roc(pen, found, (_WIDTH - _ROC - _MARGIN, _MARGIN))
    threshold = next((row.threshold for row in found.rates if row.rate_per_hour == 1.0), None)
    top = _ROC + 2 * _MARGIN
    for clip in shown:
        _strip(pen, clip, top, threshold)
        top += _STRIP + 6
    if len(shown) < len(found.clips):
        pen.text((_MARGIN, top), f"and {len(found.clips) - len(shown)} more clips", font=font(13), fill=_TEXT)
    png = io.BytesIO()
    image.save(png, "PNG")
    return png.getvalue()


def _figures(pen: ImageDraw.ImageDraw, found: Evaluation, title: str) -> None:
    lines = [
        title,
        found.detector,
        f"{found.frames} frames, {found.abnormal} abnormal, {len(found.clips)} clips",
        f"ROC AUC: micro {_percent(found.micro_auc)}, macro {_percent(found.macro_auc)}",
    ]
    if found.regions is not None:
        lines.append(f"RBDC {_percent(found.regions.rbdc)}, TBDC {_percent(found.regions.tbdc)}")
    for row in found.rates:
        delay = "" if row.delay_s is None else f", {row.delay_s:.1f} s late"
        word = " (provisional)" if row.is_provisional else ""
        lines.append(f"{row.rate_per_hour:g} false alarms per hour{word}: {row.found} of {row.events} events{delay}")
    lines += [f"! {warning}" for warning in found.warnings]
    for number, line in enumerate(lines[:11]):
        letters = font(18 if number == 0 else 14)
        room = _WIDTH - _ROC - 4 * _MARGIN
        fill = _THRESHOLD if line.startswith("!") else _TEXT
        pen.text((_MARGIN, _MARGIN + number * 23), fitting(line, letters, room), font=letters, fill=fill)


def _roc(pen: ImageDraw.ImageDraw, found: Evaluation, corner: tuple[int, int]) -> None:
    left, top = corner
    pen.rectangle((left, top, left + _ROC, top + _ROC), outline=_GRID)
    pen.line((left, top + _ROC, left + _ROC, top), fill=_GRID)
    scores = np.concatenate([clip.timed.scored.scores for clip in found.clips])
    labels = np.concatenate([clip.timed.scored.labels for clip in found.clips])
    if labels.all() or not labels.any():
        return
    order = np.argsort(-scores, kind="stable")
    is_last = np.append(np.diff(scores[order]) != 0, True)
    true = np.cumsum(labels[order])[is_last] / labels.sum()
    false = np.cumsum(~labels[order])[is_last] / (~labels).sum()
    points = [(left, top + _ROC), *zip((left + _ROC * false).tolist(), (top + _ROC * (1 - true)).tolist(), strict=True)]
    pen.line(points, fill=_LINE, width=2)
    pen.text((left + _ROC - 90, top + _ROC - 20), "ROC, all clips", font=font(12), fill=_TEXT)


def _strip(pen: ImageDraw.ImageDraw, clip: ClipResult, top: int, threshold: float | None) -> None:
    left, right = _NAME, _WIDTH - _MARGIN
    scored = clip.timed.scored
    letters = font(13)
    pen.text((_MARGIN, top + 4), fitting(clip.name, letters, _NAME - 2 * _MARGIN), font=letters, fill=_TEXT)
    pen.text((_MARGIN, top + 24), f"AUC {_percent(clip.auc)}", font=font(12), fill=_TEXT)
    step = (right - left) / max(scored.labels.size, 1)
    for first, last in _runs(scored.labels):
        pen.rectangle((left + first * step, top, left + (last + 1) * step, top + _STRIP), fill=_ABNORMAL)
    pen.rectangle((left, top, right, top + _STRIP), outline=_GRID)
    if threshold is not None:
        y = top + _STRIP * (1 - threshold)
        for x in range(left, right, 12):
            pen.line((x, y, min(x + 6, right), y), fill=_THRESHOLD)
    points = _thinned(scored.scores, right - left)
    if len(points) > 1:
        width = (right - left) / len(points)
        pen.line([(left + (n + 0.5) * width, top + _STRIP * (1 - one)) for n, one in enumerate(points)], fill=_LINE)


def _thinned(scores: NDArray[np.float64], width: int) -> Sequence[float]:
    """At most one score a pixel: the highest of those that fall on it."""
    if scores.size <= width:
        return [float(one) for one in scores]
    return [float(part.max()) for part in np.array_split(scores, width)]


def _runs(labels: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.diff(np.concatenate([[0], labels.astype(np.int8), [0]]))
    return [*zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True)]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
