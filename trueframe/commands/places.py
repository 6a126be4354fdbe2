"""A place in footage on the command line: a frame id or a moment."""

from __future__ import annotations

import time
from typing import Any

import click

from mesh.ids import FrameId
from trueframe.times import parse_time


class PlaceType(click.ParamType["FrameId | int"]):
    """`camera/epoch/seq`, or a moment as UTC nanoseconds."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FrameId | int:
        """Reads it. Raises InvalidArgument."""
        if isinstance(value, FrameId | int):
            return value
        text = str(value)
        return FrameId.parse(text) if "/" in text else parse_time(text, time.time_ns())
