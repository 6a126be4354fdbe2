"""`trueframe train --kind posture`: what can be told before anything is asked of an instance."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh.errors import FailedPrecondition, InvalidArgument
from trueframe.commands.train import command

SPAN = ("--from", "-2h", "--to", "-1h")


def refused(tmp_path: Path, *arguments: str) -> BaseException:
    done = CliRunner().invoke(command, [*arguments, "--data", str(tmp_path / "nothing-runs-here")])
    assert done.exception is not None, done.output
    return done.exception


def test_without_torch_the_extra_is_named_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    error = refused(tmp_path, "gate", "--kind", "posture", *SPAN)
    assert isinstance(error, FailedPrecondition)
    assert "pip install 'trueframe[train]'" in str(error)
    assert not isinstance(refused(tmp_path, "gate", *SPAN), FailedPrecondition)


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    for arguments in (("gate", "--pose", "movenet", *SPAN), ("--due", "--kind", "posture")):
        assert isinstance(refused(tmp_path, *arguments), InvalidArgument)
