"""Whether a GPU decodes: only if it gives the very bytes, and never in silence. No GPU is needed, and none is tried."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.pixel import hardware
from broker.pixel.decode import Decoded, StreamDecoder
from broker.pixel.hardware import CODECS, SOFTWARE, Hardware, check_in_a_child, choose_hardware, clip, compare
from trueframe.v1 import frames_pb2

H264, H265 = frames_pb2.CODEC_H264, frames_pb2.CODEC_H265
Row = tuple[int, bool, int, bytes]


def test_software_asks_no_gpu_and_has_nothing_to_explain(tmp_path: Path) -> None:
    assert choose_hardware("software", tmp_path) is SOFTWARE
    assert SOFTWARE.refusal("h264") == ""


@pytest.mark.parametrize(("setting", "is_asked_for"), [("auto", False), ("cuvid", True)])
def test_a_machine_without_a_gpu_says_so(setting: str, is_asked_for: bool, tmp_path: Path) -> None:
    chosen = choose_hardware(setting, tmp_path)
    assert not chosen.codecs
    assert chosen.is_asked_for == is_asked_for
    assert {chosen.refusal(name) for name in CODECS.values()} == {"no NVIDIA device on this machine"}
    assert chosen.refusal("mjpeg") == ""


def test_the_check_ends_in_order_on_a_machine_with_or_without_a_gpu() -> None:
    chosen = check_in_a_child("cuvid")
    for name in CODECS.values():
        assert (name in chosen.codecs) == (chosen.refusal(name) == "")


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import os; os.abort()", "status -6"),
        ("raise SystemExit(3)", "status 3"),
        ("print('GPU ready')", "said nothing of use"),
        ("print('[]')", "said nothing of use"),
        ("import time; time.sleep(60)", "did not end"),
    ],
)
def test_a_check_that_crashes_hangs_or_babbles_means_software(
    program: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands in for the driver: what the child does is all that the host sees of it.
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!{sys.executable}\n{program}\n")
    stand_in.chmod(0o700)
    monkeypatch.setattr(hardware.sys, "executable", str(stand_in))
    monkeypatch.setattr(hardware, "_CHECK_WITHIN_S", 2.0)
    chosen = check_in_a_child("auto")
    assert not chosen.codecs
    assert all(why in chosen.refusal(name) for name in CODECS.values())


def test_a_codec_that_passed_is_used_and_another_that_did_not_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "python"
    told = json.dumps({"h264": "", "hevc": "picture 3 of the check differs from that of the software decoder"})
    stand_in.write_text(f"#!/bin/sh\necho '{told}'\n")
    stand_in.chmod(0o700)
    monkeypatch.setattr(hardware.sys, "executable", str(stand_in))
    chosen = check_in_a_child("auto")
    assert chosen.codecs == {"h264"}
    assert chosen.refusal("h264") == ""
    assert "picture 3" in chosen.refusal("hevc")


@pytest.mark.parametrize("codec", [H264, H265])
def test_the_clip_of_the_check_has_b_frames_and_decodes_whole(codec: int) -> None:
    units = clip(CODECS[codec])
    decoder = StreamDecoder(codec)
    outcomes = [outcome for unit in units for outcome in decoder.feed(unit)] + decoder.flush()
    assert all(isinstance(outcome, Decoded) and not outcome.inexact for outcome in outcomes)
    seqs = [outcome.seq for outcome in outcomes if isinstance(outcome, Decoded)]
    assert sorted(seqs) == list(range(len(units)))
    assert seqs != sorted(seqs)
    assert not decoder.ran_on_hardware
    assert "cuvid" not in decoder.description


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda rows: rows, ""),
        (lambda rows: [*rows[:5], (*rows[5][:3], rows[5][3][:-1] + b"\0"), *rows[6:]], "differs"),
        (lambda rows: [*rows[:5], (rows[5][0], True, *rows[5][2:]), *rows[6:]], "differs"),
        (lambda rows: [rows[1], rows[0], *rows[2:]], "differs"),
        (lambda rows: rows[:-1], "does not work"),
    ],
    ids=["equal", "one byte", "inexact", "order", "one fewer"],
)
def test_the_check_finds_every_difference(
    change: Callable[[list[Row]], list[Row]], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hardware._decoded

    def stand_in(codec: int, units: list[object], *, on_hardware: bool) -> Iterator[Row]:
        rows = list(real(codec, units, on_hardware=False))  # type: ignore[arg-type]
        yield from change(rows) if on_hardware else rows

    monkeypatch.setattr(hardware, "_decoded", stand_in)
    found = compare(H264)
    assert verdict in found
    assert bool(found) == bool(verdict)


def test_what_hardware_decodes_is_told_by_codec() -> None:
    chosen = Hardware(frozenset({"hevc"}), {"h264": "no"}, True)
    assert chosen.refusal("hevc") == ""
    assert chosen.refusal("h264") == "no"
