from pathlib import Path

from trueframe.log_files import BoundedLog


def test_a_log_never_takes_more_than_its_bound(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "broker.log", max_bytes=1000, keep=2)
    for number in range(1000):
        log.write(b"%04d %s\n" % (number, b"x" * 44))
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["broker.log", "broker.log.1", "broker.log.2"]
    assert sum(file.stat().st_size for file in files) <= 3000
    assert (tmp_path / "broker.log").read_bytes().splitlines()[-1].startswith(b"0999")
    assert (tmp_path / "broker.log.1").read_bytes().splitlines()[-1] < (tmp_path / "broker.log").read_bytes()[:4]


def test_a_log_goes_on_where_it_stopped_and_is_private(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = BoundedLog(tmp_path / "broker.log")
        log.write(text)
        log.close()
    assert (tmp_path / "broker.log").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "broker.log").stat().st_mode & 0o077 == 0


def test_a_full_disk_stops_nobody_and_is_counted() -> None:
    log = BoundedLog(Path("/dev/full"))
    log.write(b"lost\n")
    assert log.dropped_lines == 1
    assert log.last_lines[-1] == "lost"
    log.close()
