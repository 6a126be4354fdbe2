"""Plots as inline SVG: stacked bars over time, bars of cameras. Pure; no script, no file, no font from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

KINDS = {"anomaly": ("anomalies", "#4a6f8a"), "camera": ("cameras", "#b08030"), "system": ("trueframe", "#8a4a4a")}
_GREY, _LINE = "#555", "#ddd"
_WIDTH, _HEIGHT, _LEFT, _BELOW, _ABOVE = 960, 220, 44, 34, 26
_ROW = 24


def over_time(slots: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> str:
    """Alarms by hour or day, stacked by kind; every bar says its figures."""
    totals = [sum(counts.get(slot, {}).values()) for slot in slots]
    top = _nice(max(totals, default=0))
    inner = _WIDTH - _LEFT - 8
    step = inner / max(len(slots), 1)
    height = _HEIGHT - _BELOW - _ABOVE
    parts = _grid(top, height)
    every = max(1, -(-len(slots) // 14))
    for number, slot in enumerate(slots):
        left, base = _LEFT + number * step, float(_ABOVE + height)
        for kind, (name, colour) in KINDS.items():
            count = counts.get(slot, {}).get(kind, 0)
            if count:
                tall = height * count / top
                base -= tall
                parts.append(
                    f'<rect x="{left + step * 0.12:.1f}" y="{base:.1f}" width="{step * 0.76:.1f}" height="{tall:.1f}" '
                    f'fill="{colour}"><title>{escape(slot)}: {count} {name}</title></rect>'
                )
        if number % every == 0:
            label = slot[11:16] if len(slot) > 10 else slot[5:]
            parts.append(_text(left + step / 2, _HEIGHT - _BELOW + 16, label, "middle"))
    for number, (name, colour) in enumerate(KINDS.values()):
        parts.append(f'<rect x="{_LEFT + number * 110}" y="4" width="11" height="11" fill="{colour}"/>')
        parts.append(_text(_LEFT + number * 110 + 16, 14, name))
    return _svg(_WIDTH, _HEIGHT, parts, "Alarms over time")


def bars(rows: Sequence[tuple[str, float, str]], colour: str, title: str) -> str:
    """A bar for each name: how long (any unit), and what is written beside it."""
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    parts: list[str] = []
    for number, (name, value, said) in enumerate(rows):
        top = number * _ROW
        parts.append(_text(150, top + 16, name if len(name) <= 22 else name[:21] + "…", "end"))
        wide = max(220 * value / most, 1 if value else 0)
        parts.append(f'<rect x="158" y="{top + 4}" width="{wide:.1f}" height="16" fill="{colour}"/>')
        parts.append(_text(164 + 220 * value / most, top + 16, said))
    return _svg(480, max(len(rows), 1) * _ROW, parts, title)


def _grid(top: int, height: float) -> list[str]:
    parts = []
    for quarter in range(5):
        value, y = top * quarter / 4, _ABOVE + height * (1 - quarter / 4)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_LINE}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:g}", "end"))
    return parts


def _nice(most: int) -> int:
    """The least of 4, 8, 12, 20, 40, 80, 120, 200, … that is not less: quarters of it are whole."""
    scale = 1
    while True:
        for factor in (4, 8, 12, 20):
            if most <= factor * scale:
                return factor * scale
        scale *= 10


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_GREY}">{escape(text)}</text>'


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}" font-size="12">{"".join(parts)}</svg>'
    )
