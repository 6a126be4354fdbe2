"""Instances of broker and media center that are stopped for sure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.footage_instance import Instance


@pytest.fixture(scope="session")
def instance_type() -> type[Instance]:
    """For fixtures that live longer than a test."""
    return Instance


@pytest.fixture
def make_instance(tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """Makes instances that are stopped for sure."""
    made: list[Instance] = []

    def make(**settings: object) -> Instance:
        made.append(Instance(tmp_path / f"data-{len(made)}", **settings))
        return made[-1]

    try:
        yield make
    finally:
        for instance in made:
            instance.stop()


@pytest.fixture
def instance(make_instance: Callable[..., Instance]) -> Instance:
    """A broker and a media center, running."""
    made = make_instance()
    made.up()
    return made
