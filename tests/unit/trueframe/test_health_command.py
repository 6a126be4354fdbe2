"""`trueframe health`: what it makes of the ledger, without a running instance."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import trueframe.client
from benchmarks.prediction import healthy
from detector_pool.health.detector import SERIES
from mesh.errors import NotFound
from trueframe.commands import health
from trueframe.v1 import inspection_pb2

NOW_NS = (19_900 * 24 + 13) * health.HOUR_NS
DAYS = 60


class Ledger:
    """A ledger of an inspection that measures every minute; focus drifts from the thirtieth day on."""

    def __init__(self, inspection: str) -> None:
        self.inspection = inspection
        tables = healthy(np.random.default_rng(2), DAYS + 1)
        tables["sharpness"] -= 0.5 * np.clip((np.arange(DAYS + 1) - 18) / 50, 0, None)[:, None]
        self._tables = tables
        self.reads = 0

    def coverage(self, camera: str, *, from_ns: int, to_ns: int, bucket_s: int) -> list[Any]:
        hours = range(max(from_ns, NOW_NS - DAYS * health.DAY_NS), to_ns, bucket_s * 1_000_000_000)
        return [SimpleNamespace(from_ns=at, inspection=self.inspection, scored=36_000) for at in hours]

    def read(self, camera: str, *, inspection: str, from_ns: int, to_ns: int) -> list[inspection_pb2.LedgerEntry]:
        self.reads += 1
        day, hour = divmod((from_ns - NOW_NS) // health.HOUR_NS + DAYS * 24, 24)
        if inspection != self.inspection or not 0 <= day <= DAYS:
            return []
        values = {name: float(np.exp(table[day, hour])) for name, table in self._tables.items()}
        series = [
            inspection_pb2.NamedValue(name=name, value=values.get(name, 0.0))
            for name in SERIES
            if np.isfinite(values.get(name, 0.0))
        ]
        return [inspection_pb2.LedgerEntry(verdict=inspection_pb2.Verdict(received_ns=from_ns, series=series))] * 2


def _run(monkeypatch: pytest.MonkeyPatch, ledger: Ledger, *arguments: str) -> Any:
    class Connected:
        def __enter__(self) -> Any:
            return SimpleNamespace(ledger=ledger)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(trueframe.client, "connect", lambda data: Connected())
    monkeypatch.setattr(time, "time_ns", lambda: NOW_NS)
    return CliRunner().invoke(health.command, ["gate", *arguments])


def test_a_drift_of_focus_is_told_with_the_days_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger("gate.health")
    result = _run(monkeypatch, ledger)
    assert result.exit_code == 0, result.output
    assert "nothing is wrong with the picture" in result.output
    assert "becomes softer" in result.output
    assert "the limit is reached in" in result.output
    # A minute of each hour, not the whole ledger.
    assert ledger.reads <= (DAYS + 1) * 24 + 2


def test_json_has_the_days_and_the_outlooks(monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    found = json.loads(_run(monkeypatch, Ledger("gate.health"), "--json").output)
    assert found["camera"] == "gate"
    assert found["days"] >= 50
    focus = next(one for one in found["outlooks"] if one["kind"] == "focus")
    assert focus["soonest_days"] <= focus["days_left"]
    assert {"noise", "haze"} <= {one["kind"] for one in found["outlooks"]}


def test_a_camera_without_such_an_inspection_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run(monkeypatch, Ledger("gate.motion"))
    assert isinstance(result.exception, NotFound)
    assert "trueframe inspections start gate.health" in str(result.exception)


def test_few_days_have_no_trend(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run(monkeypatch, Ledger("gate.health"), "--days", "5")
    assert "trends need twelve" in result.output
