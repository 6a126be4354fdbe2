"""Holds and retention as callers and people at the command meet them, in a running media center."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import trueframe.client
from mesh.errors import InvalidArgument, NotFound, PermissionDenied, TrueframeError
from tests.footage import EPOCH, SECOND, Script, record
from tests.support import until
from trueframe.__main__ import cli
from trueframe.v1 import footage_pb2, frames_pb2


@pytest.fixture
def archive(make_instance: Callable[..., Any], tmp_path: Any) -> Any:
    """A media center with six segments of "gate" and three of "yard"; its broker is away."""
    made = make_instance(media_center__second_tier=str(tmp_path / "second"))
    made.footage_dir.mkdir(parents=True)
    record(made.footage_dir, Script().start().frames(180).items)
    record(made.footage_dir, Script("yard").start().frames(90).items)
    made.start("media_center")
    made.wait_ready("media_center")
    return made


@pytest.fixture
def command(archive: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `trueframe …` against that media center."""

    @contextmanager
    def connect(_: str) -> Iterator[Any]:
        with archive.footage("administrator") as footage:
            yield SimpleNamespace(footage=footage)

    monkeypatch.setattr(trueframe.client, "connect", connect)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, list(arguments))

    return run


def seqs(archive: Any, camera: str) -> list[int]:
    with archive.footage() as footage:
        return [row.id.seq for row in footage.frames(camera) if isinstance(row, footage_pb2.IndexRow)]


def test_what_a_rule_takes_and_a_hold_keeps_is_planned_done_and_told(archive: Any) -> None:
    with archive.footage("administrator") as footage:
        hold = footage.put_hold("gate", EPOCH + 4 * SECOND, EPOCH + 5 * SECOND, "Case 1")
        assert (hold.owner, hold.camera) == ("administrator", "gate")
        footage.put_retention("gate", max_bytes=1, move_after_s=0)
        until(lambda: len(seqs(archive, "gate")) == 60, 20, "all but the held and the open segment is gone")
        listed = footage.recordings(["gate"])
        assert [(one.first.seq, one.last.seq) for one in listed.recordings] == [(30, 59), (150, 179)]
        assert [(gap.reason, gap.count) for gap in listed.gaps] == [
            (frames_pb2.GAP_REASON_EXPIRED, 30), (frames_pb2.GAP_REASON_EXPIRED, 90),
        ]  # fmt: skip
        (held,) = footage.plan_retention(["gate"])
        assert (held.action, held.reason) == (footage_pb2.RETENTION_ACTION_HELD, hold.id)
        (state,) = footage.retention(["gate"]).cameras
        assert (state.segments, state.is_common) == (2, False)
        assert 0 < state.held_bytes < state.bytes
        footage.release_hold(hold.id, "Case 1 is closed")
        until(lambda: len(seqs(archive, "gate")) == 30, 20, "what was held is gone")
        assert len(seqs(archive, "yard")) == 90
    told = seqs(archive, "gate")
    archive.end("media_center")
    archive.start("media_center")
    archive.wait_ready("media_center")
    assert seqs(archive, "gate") == told


def test_a_hold_is_there_after_a_kill_at_once(archive: Any) -> None:
    with archive.footage("operator") as footage:
        hold = footage.put_hold("gate", EPOCH, EPOCH + SECOND, "evidence", expires_ns=EPOCH + 1000 * SECOND)
    archive.end("media_center", 9)
    archive.start("media_center")
    archive.wait_ready("media_center")
    with archive.footage("operator") as footage:
        (found,) = footage.holds()
        assert (found.id, found.expires_ns, found.owner) == (hold.id, EPOCH + 1000 * SECOND, "operator")
        assert footage.put_hold("gate", EPOCH, EPOCH + 2 * SECOND, "more", hold=hold.id).id == hold.id


def test_what_cannot_be_is_refused(archive: Any) -> None:
    def refused(error: type[TrueframeError], call: Callable[[], object]) -> None:
        with pytest.raises(error):
            call()

    with archive.footage("administrator") as footage, archive.footage("operator", ["yard"]) as scoped:
        refused(InvalidArgument, lambda: footage.put_hold("gate", 5, 5, "empty"))
        refused(InvalidArgument, lambda: footage.put_hold("gate", 5, 9, " "))
        refused(InvalidArgument, lambda: footage.put_hold("gate", 5, 9, "late", expires_ns=7))
        refused(InvalidArgument, lambda: footage.put_retention("gate", max_bytes=-1))
        refused(InvalidArgument, lambda: footage.plan_retention(ahead_s=-1))
        refused(NotFound, lambda: footage.put_hold("gate", 5, 9, "why", hold="hold:none"))
        refused(NotFound, lambda: footage.release_hold("hold:none", "why"))
        hold = footage.put_hold("gate", 5, 9, "why")
        refused(InvalidArgument, lambda: footage.release_hold(hold.id, ""))
        refused(InvalidArgument, lambda: footage.put_hold("yard", 5, 9, "why", hold=hold.id))
        refused(PermissionDenied, lambda: scoped.put_hold("gate", 5, 9, "why"))
        refused(NotFound, lambda: scoped.release_hold(hold.id, "why"))  # not even whether there is such a hold
        refused(PermissionDenied, lambda: scoped.put_retention("yard", max_bytes=1))
        assert scoped.holds() == []
        assert [state.rule.camera for state in scoped.retention().cameras] == ["yard"]
        assert footage.retention().common == footage_pb2.RetentionRule()


def test_moving_is_planned_and_the_second_tier_is_reported(archive: Any) -> None:
    before = seqs(archive, "yard")
    with archive.footage("administrator") as footage:
        (state,) = footage.retention(["yard"]).cameras
        assert state.moved_bytes == 0
        footage.put_retention("yard", max_bytes=10**12, move_after_s=1)
        steps = footage.plan_retention(["yard"], ahead_s=3 * 366 * 86_400)
        # The disk itself would be full some day; before, everything closed has been moved.
        assert {step.action for step in steps[:2]} == {footage_pb2.RETENTION_ACTION_MOVE}
        assert [tier.name for tier in footage.storage().tiers] == ["primary", "second"]
    assert seqs(archive, "yard") == before


def test_holds_and_rules_at_the_command(command: Callable[..., Any]) -> None:
    made = command("holds", "add", "gate", "--from", str(EPOCH), "--to", str(EPOCH + SECOND), "--reason", "Case 9",
                   "--until", "90d", "--json")  # fmt: skip
    assert made.exit_code == 0, made.output
    hold = json.loads(made.output)
    assert hold["reason"] == "Case 9"
    assert hold["expires_ns"] > 0
    assert "Case 9" in command("holds", "list").output
    changed = json.loads(command("holds", "change", hold["id"], "--until", "never", "--json").output)
    assert (changed["expires_ns"], changed["reason"]) == (0, "Case 9")
    assert command("retention", "set", "gate", "--age", "30d", "--size", "500GB").output == (
        "gate: 30 d 0 h old at most, 500 GB at most\n"
    )
    assert json.loads(command("retention", "set", "gate", "--size", "2TiB", "--json").output) == {
        "camera": "gate", "max_age_s": 2_592_000, "max_bytes": 2 << 40, "move_after_s": 0,
    }  # fmt: skip
    shown = [json.loads(line) for line in command("retention", "show", "--json").output.splitlines()]
    assert [one["camera"] for one in shown] == [None, "gate", "yard"]
    assert command("retention", "set", "gate", "--reset").output == "gate: no bound\n"
    assert command("retention", "plan").output.endswith("Nothing goes within 7 d 0 h.\n")
    released = command("holds", "release", hold["id"], "--reason", "closed")
    assert released.output == f"{hold['id']}  released\n"
    assert json.loads(command("holds", "list", "--json").output or "null") is None


def test_commands_that_say_too_little_or_too_much_are_refused(command: Callable[..., Any]) -> None:
    for arguments in (
        ("retention", "set"),
        ("retention", "set", "gate", "--common", "--age", "1d"),
        ("retention", "set", "gate"),
        ("retention", "set", "gate", "--age", "1d", "--reset"),
        ("holds", "add", "gate", "--from", "-1m", "--to", "now"),
        ("holds", "release", "--reason", "why"),
    ):
        assert command(*arguments).exit_code == 2, arguments
    assert isinstance(command("retention", "set", "gate", "--size", "much").exception, InvalidArgument)
