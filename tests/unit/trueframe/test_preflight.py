import socket
from pathlib import Path

import pytest

from mesh.errors import FailedPrecondition, ResourceExhausted
from trueframe import preflight
from trueframe.layout import layout_of
from trueframe.running import NotRunning, find_running, is_locked


def test_a_data_folder_is_made_private_where_it_matters(tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "data")
    preflight.prepare_folders(layout)
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in (layout.run, layout.keys, layout.logs))


def test_a_file_in_the_place_of_the_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(FailedPrecondition, match="taken by a file") as refused:
        preflight.prepare_folders(layout_of(tmp_path / "data"))
    assert refused.value.remedy


def test_a_data_folder_belongs_to_one_instance_until_it_lets_go(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    preflight.prepare_folders(layout)
    assert not is_locked(layout)
    with preflight.take_lock(layout):
        assert is_locked(layout)
        with pytest.raises(preflight.AlreadyRunning, match="runs on it already"):
            preflight.take_lock(layout)
        with pytest.raises(NotRunning, match="still starting"):
            find_running(tmp_path)
    assert not is_locked(layout)
    with pytest.raises(NotRunning, match="is not running"):
        find_running(tmp_path)


def test_a_disk_that_is_too_full_is_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(ResourceExhausted, match=r"GB free, and 1000000000\.00 GB must stay free"):
        preflight.check_space(tmp_path, 10**18)


def test_the_port_of_the_run_before_is_taken_again_if_it_is_free() -> None:
    port = preflight.free_port()
    assert preflight.free_port(port) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert preflight.free_port(port) != port


def test_sockets_of_a_deep_data_folder_lie_where_their_paths_are_short_enough(tmp_path: Path) -> None:
    deep = layout_of(tmp_path / ("x" * 120))
    assert str(deep.sockets).startswith("/tmp/trueframe-")
    assert deep.sockets != layout_of(tmp_path / ("y" * 120)).sockets
    assert deep.run.parent == deep.data
