"""Setting up a process, tried in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from broker.tuning import PIN_AUTO, PIN_NONE
from mesh.errors import InvalidArgument


def in_a_process(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return result.stdout.strip()


SHOW = "import os; from broker import tuning; core = tuning.pin({0}); print(core, sorted(os.sched_getaffinity(0)))"


def test_a_core_that_is_named_is_the_only_one() -> None:
    core = max(os.sched_getaffinity(0))
    assert in_a_process(SHOW.format(core)) == f"{core} [{core}]"


def test_no_core_means_all_that_were_allowed() -> None:
    assert in_a_process(SHOW.format(PIN_NONE)) == f"None {sorted(os.sched_getaffinity(0))}"


def test_auto_takes_one_of_many_cores_and_none_of_few() -> None:
    few = "from broker import tuning; tuning.MIN_CORES_TO_PIN = len(tuning.os.sched_getaffinity(0)) + 1; "
    assert in_a_process(few + SHOW.format(PIN_AUTO)) == f"None {sorted(os.sched_getaffinity(0))}"
    many = "from broker import tuning; tuning.MIN_CORES_TO_PIN = 1; "
    core, _, cores = in_a_process(many + SHOW.format(PIN_AUTO)).partition(" ")
    assert cores == f"[{core}]"
    assert int(core) in os.sched_getaffinity(0)


def test_a_core_that_is_not_there_is_refused_with_those_that_are() -> None:
    from broker.tuning import pin

    with pytest.raises(InvalidArgument, match="Use one of"):
        pin(4000)
