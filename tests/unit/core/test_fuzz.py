"""The corpus of fuzzing as ordinary tests; and that the fuzzer makes what it says, and finds what is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz.cases import read_case, write_case
from tests.fuzz.mutate import Mutator
from tests.fuzz.run import Run
from tests.fuzz.target import pieces
from tests.fuzz.targets import KINDS, all_targets
from tests.fuzz.targets_rtp import H264Rtp
from tests.fuzz.worker import BATCH, batch_target, case_at, cases_of, quotas_of
from tests.support import until

NAMES = [kind.name for kind in KINDS]


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_holds_what_must_hold_for_any_input(name: str) -> None:
    target = all_targets()[name]
    for case in target.corpus:
        # Every choice that a target makes by itself.
        for options in (case[0], b"", b"\0" * 8, b"\xff" * 8, bytes(range(8)), bytes([3, 1, 0, 5, 1, 9, 8, 2])):
            assert target.check([options, *case[1:]]) == len(case) - 1


@pytest.mark.parametrize("name", NAMES)
def test_three_hundred_mutations_hold_too(name: str) -> None:
    target = all_targets()[name]
    mutator = cases_of(target, 20261120, 0)
    for number in range(300):
        case = target.mutated(mutator)
        try:
            target.check(case)
        except Exception as error:
            raise AssertionError(f"case {number}: {[part.hex() for part in case]}") from error


@pytest.mark.parametrize("name", ["h265-rtp", "wire", "xml"])
def test_a_batch_and_a_number_give_the_same_case_for_ever(name: str) -> None:
    target = all_targets()[name]
    mutator = cases_of(target, 5, 17)
    cases = [target.mutated(mutator) for _ in range(40)]
    assert case_at(target, 5, 17, 39) == cases[39] != case_at(target, 6, 17, 39)
    assert len({tuple(case) for case in cases}) == 40


def test_batches_are_shared_out_as_the_targets_say() -> None:
    targets = all_targets()
    quotas = quotas_of(targets)
    inputs = dict.fromkeys(targets, 0.0)
    for batch in range(4000):
        target = batch_target(batch, targets, quotas)
        inputs[target.name] += BATCH * target.inputs_a_case
    whole, shares = sum(inputs.values()), sum(target.share for target in targets.values())
    for name, target in targets.items():
        assert inputs[name] / whole == pytest.approx(target.share / shares, rel=0.15)


def test_a_case_in_a_file_is_the_case(tmp_path: Path) -> None:
    case = [b"\0" * 8, b"", b"\xff" * 70_000, b"x"]
    write_case(tmp_path / "found.parts", case)
    assert read_case(tmp_path / "found.parts") == case
    (tmp_path / "one.bin").write_bytes(b"abc")
    assert read_case(tmp_path / "one.bin") == [b"", b"abc"]


def test_pieces_are_the_whole() -> None:
    mutator = Mutator("pieces")
    for _ in range(200):
        data = mutator.options(mutator.below(300))
        assert b"".join(pieces(data, mutator.options())) == data


class Careless(H264Rtp):
    """A parser that cannot bear an aggregate with a length of 0xFFFF, and says so as compiled code does not."""

    def check(self, case: list[bytes]) -> int:
        assert not any(b"\x78\xff\xff" in packet or b"\x7f\xff" in packet for packet in case[1:]), "planted"
        return len(case) - 1


def test_a_mistake_that_is_there_is_found_within_some_thousand_cases() -> None:
    target, mutator = Careless(), Mutator("planted", ())

    def fuzz() -> None:
        for _ in range(20_000):
            target.check(target.mutated(mutator))

    with pytest.raises(AssertionError, match="planted"):
        fuzz()


def test_a_run_counts_its_inputs_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "--inputs", "20000", "--workers", "2", "--seed", "3",
         "--findings", str(tmp_path), "--json", str(tmp_path / "result.json")],
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["inputs"] >= 20_000
    assert result["inputs"] == sum(row["inputs"] for row in result["targets"].values())
    assert result["findings"] == []
    assert result["seed"] == 3


def test_a_worker_that_dies_leaves_its_case_and_the_run_goes_on(tmp_path: Path) -> None:
    run = Run(40_000, 60, 1, 1, tmp_path)
    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(run.run)
        until(lambda: run.done > 0, 30, "a batch is done")
        os.kill(run.pids[0], signal.SIGABRT)
        ended.result(60)
    (finding,) = run.findings
    assert "ended with -6" in finding.error
    target = all_targets()[finding.target]
    assert read_case(tmp_path / finding.file) == case_at(target, 1, finding.batch, finding.number)
    assert run.done >= 40_000
