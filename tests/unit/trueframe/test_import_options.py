"""Options of `trueframe import` that contradict each other are refused before anything is done."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from mesh.errors import InvalidArgument
from trueframe.commands.import_footage import command


@pytest.mark.parametrize("other", [("--inspect", "motion"), ("--like", "gate"), ("--report", "seen")])
def test_what_is_to_be_inspected_is_refused_where_nothing_is(other: tuple[str, str]) -> None:
    arguments = ["film.mp4", "--camera", "lane", "--no-inspect", *other]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert isinstance(result.exception, InvalidArgument)
    assert result.exception.thing == "--no-inspect"
