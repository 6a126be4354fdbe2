"""`option`: a field of a section of the configuration, with its documentation and bounds beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, TypeVar

T = TypeVar("T")


def option(
    default: T, doc: str, *, at_least: float | None = None, at_most: float | None = None, one_of: Sequence[str] = ()
) -> T:
    """A field with its documentation and its bounds, both inclusive."""
    result: Any = field(
        default=default, metadata={"doc": doc, "at_least": at_least, "at_most": at_most, "one_of": tuple(one_of)}
    )
    return result  # type: ignore[no-any-return]
