"""How long work of commands shows how far it is, and what of it was not as it should be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from mesh.errors import DataLoss

_MOST_TOLD = 20
Progress = Callable[[int, int, str], None]
"""Called with what is done, what is to do in all, and the name of what is at work."""


@contextmanager
def bar(label: str, *, is_shown: bool) -> Iterator[Progress | None]:
    """A bar of bytes on standard error, if a human sees it."""
    if not is_shown or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def progress(done: int, whole: int, _: str) -> None:
            bar.length = max(whole, 1)
            bar.update(done - bar.pos)

        yield progress


def tell_findings(thing: str, findings: list[str], *, as_json: bool) -> None:
    """Names what was not as it should be, and fails."""
    if not findings:
        return
    if not as_json:
        for text in findings[:_MOST_TOLD]:
            click.echo(text, err=True)
    raise DataLoss(thing, f"{len(findings)} segments are not as they should be: {findings[0]}")
