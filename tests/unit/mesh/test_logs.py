from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from mesh import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    for logger in (logging.getLogger("tf"), logging.getLogger()):
        for handler in [h for h in logger.handlers if getattr(h, "trueframe", False)]:
            logger.removeHandler(handler)
    logging.getLogger("tf").propagate = True


def test_a_record_is_one_line_with_its_fields(stream: io.StringIO) -> None:
    logs.configure("broker", stream=stream)
    logs.get_logger("broker.camera", camera="gate").bind(epoch=7).info("connected", display='Tür "1"', empty="")
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.rstrip().endswith(
        'info    broker broker.camera: connected camera=gate epoch=7 display="Tür \\"1\\"" empty=""'
    )


def test_json_records_hold_fields_by_name(stream: io.StringIO) -> None:
    logs.configure("broker", as_json=True, stream=stream)
    logs.get_logger("x").warning("odd", camera="gate", seq=7, level="mine", ratio=None)
    row = json.loads(stream.getvalue())
    assert (row["message"], row["camera"], row["seq"], row["level"], row["field_level"]) == (
        "odd", "gate", 7, "warning", "mine",
    )  # fmt: skip
    assert row["time"].endswith("Z")


@pytest.mark.parametrize("as_json", [False, True])
def test_no_record_holds_credentials_or_forged_lines(stream: io.StringIO, as_json: bool) -> None:
    logs.configure("broker", as_json=as_json, stream=stream)
    log = logs.get_logger("x")
    try:
        raise ValueError("rtsp://admin:secret@cam")
    except ValueError:
        log.exception("failed at rtsp://admin:secret@cam", source="rtsp://admin:secret@cam", answer="a\nb\x1b[2J")
    text = stream.getvalue()
    assert "secret" not in text
    assert "\x1b" not in text
    assert "Traceback" in text
    assert "a\\nb" in text


def test_levels_hold_and_the_last_configuration_counts(stream: io.StringIO) -> None:
    logs.configure("a", "debug", stream=io.StringIO())
    logs.configure("a", "warning", stream=stream)
    logs.get_logger("x").info("quiet")
    logs.get_logger("x").error("loud")
    logging.getLogger("some.library").warning("theirs")
    assert [line.split(": ")[1] for line in stream.getvalue().splitlines()] == ["loud", "theirs"]


def test_a_rate_limited_key_speaks_once_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("mesh.logs.time.monotonic", lambda: now[0])
    assert [logs.rate_limited("test key", 1.0) for _ in range(3)] == [True, False, False]
    assert logs.rate_limited("another test key", 1.0)
    now[0] += 1.0
    assert logs.rate_limited("test key", 1.0)


def test_the_memory_of_rate_limits_is_bounded() -> None:
    limit = logs._RateLimit()
    for number in range(10_000):
        limit.allows(str(number), 60.0)
    assert len(limit._last) == 4096
