"""Cells of CSV files that people open in spreadsheets. Pure.

A text that begins with = + - @ (or a tab or carriage return) would be carried out as a formula there: an apostrophe
before it makes it text. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> object:
    """The value as it may stand in a cell; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_BEGINNINGS) else text


def csv_text(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A whole file, lines ended as RFC 4180 says."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\r\n")
    writer.writerow(titles)
    writer.writerows([cell(value) for value in row] for row in rows)
    return output.getvalue()
