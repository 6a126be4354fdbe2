"""Options and output that several commands share: --data, --json, tables, times.

What should not be in this module: anything that imports gRPC before a command runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mesh.errors import InvalidArgument
from trueframe.layout import DEFAULT_DATA
from trueframe.times import parse_time

F = TypeVar("F", bound=Callable[..., Any])


def data_option(function: F) -> F:
    """--data DIR: which instance."""
    return click.option(
        "--data",
        default=DEFAULT_DATA,
        envvar="TRUEFRAME_DATA",
        show_default=True,
        metavar="DIR",
        help="Data folder of the instance ($TRUEFRAME_DATA).",
    )(function)


def json_option(function: F) -> F:
    """--json: for scripts, one object a line."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for scripts.")(function)


class Moment(click.ParamType[int]):
    """A moment on the command line, as UTC nanoseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads ISO times, clock times of today and "-30s"."""
        return value if isinstance(value, int) else parse_time(str(value), time.time_ns())


def require_folder(output: str) -> None:
    """Before any work: a file that is to be written needs a folder. Raises InvalidArgument."""
    folder = Path(output).parent
    if not folder.is_dir():
        raise InvalidArgument(f"file {output}", f"there is no folder {folder}", "Make it, or name another with -o.")


def show_json(fields: object) -> None:
    """One JSON object on a line of its own."""
    click.echo(json.dumps(fields, ensure_ascii=False))


def show_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as what is in them; the last one runs free."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(titles), *cells]) for column in range(len(titles))]
    for line in [list(titles), *cells]:
        padded = [text.ljust(width) for text, width in zip(line[:-1], widths, strict=False)]
        click.echo("  ".join([*padded, line[-1]]).rstrip())
