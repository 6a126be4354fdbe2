"""A test that lacks something says what would provide it, and fails where that is required."""

from pathlib import Path

import pytest

from tests import real_peers
from tests.real_peers import require, shared


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with none of it."""
    monkeypatch.setattr(real_peers, "ROOT", tmp_path / "repository")
    monkeypatch.setattr(real_peers, "_missing", lambda peer: peer)
    for name in ("TRUEFRAME_REQUIRE", "TRUEFRAME_SHARED"):
        monkeypatch.delenv(name, raising=False)


def test_a_skip_names_the_command_that_provides_what_is_missing() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"needs tmux; `make deps-real`"):
        require("tmux")
    with pytest.raises(pytest.skip.Exception, match=r"needs chromium; `sudo apt-get install chromium`"):
        require("chromium")
    with pytest.raises(pytest.skip.Exception, match=r"needs footage/a.mp4; `TRUEFRAME_SHARED=FOLDER make test`"):
        shared("footage/a.mp4")


def test_what_is_required_fails_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUEFRAME_REQUIRE", "tmux,footage")
    with pytest.raises(pytest.fail.Exception, match="needs tmux"):
        require("tmux")
    with pytest.raises(pytest.fail.Exception, match=r"needs footage/a.mp4"):
        shared("footage/a.mp4")


def test_clips_are_found_where_the_variable_says_and_beside_the_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder in ("shared", "elsewhere"):
        (tmp_path / folder).mkdir()
    beside = tmp_path / "shared" / "a.mp4"
    beside.touch()
    assert shared("a.mp4") == beside
    named = tmp_path / "elsewhere" / "a.mp4"
    named.touch()
    monkeypatch.setenv("TRUEFRAME_SHARED", str(named.parent))
    assert shared("a.mp4") == named
