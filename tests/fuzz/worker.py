"""One process of a run: makes cases and checks them, batch by batch, and says before each where it is.

A sanitizer ends the process, so that place lies in a file that outlives it: number of the batch, of the case in it.
A batch is made of a seed of its own: the same run again, or that batch alone, gives the same cases.
"""

from __future__ import annotations

import argparse
import functools
import json
import mmap
import signal
import struct
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from tests.fuzz.cases import Case
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import Target
from tests.fuzz.targets import all_targets

BATCH = 400
_PLAN = 1000
PLACE = struct.Struct("<QQ")
# A case takes well below a millisecond.
_BATCH_TAKES_AT_MOST_S = 60


class Hangs(BaseException):
    """A batch takes so long that it would not end. No Exception: nobody may swallow it."""


def quotas_of(targets: dict[str, Target]) -> dict[str, float]:
    """Share of the batches that each target has: its share of the inputs, by how many a case has."""
    return {name: target.share / target.inputs_a_case for name, target in targets.items()}


def batch_target(batch: int, targets: dict[str, Target], quotas: dict[str, float]) -> Target:
    """Whose batch it is."""
    return targets[_plan(tuple(quotas.items()))[batch % _PLAN]]


@functools.cache
def _plan(quotas: tuple[tuple[str, float], ...]) -> list[str]:
    """Targets in turns, as often as their quotas say, evenly spread."""
    due = dict.fromkeys((name for name, _ in quotas), 0.0)
    whole = sum(share for _, share in quotas)
    plan = []
    for _ in range(_PLAN):
        for name, share in quotas:
            due[name] += share
        chosen = max(due, key=lambda name: due[name])
        due[chosen] -= whole
        plan.append(chosen)
    return plan


def cases_of(target: Target, seed: int, batch: int) -> Mutator:
    """The generator of a batch."""
    return Mutator(f"{seed} {target.name} {batch}", target.words)


def case_at(target: Target, seed: int, batch: int, number: int) -> Case:
    """The case of a batch with that number, made again."""
    mutator = cases_of(target, seed, batch)
    for _ in range(number):
        target.mutated(mutator)
    return target.mutated(mutator)


def _hangs(_: int, frame: FrameType | None) -> None:
    raise Hangs(f"a batch takes more than {_BATCH_TAKES_AT_MOST_S} s")


def run(seed: int, first: int, step: int, inputs: int, deadline: float, place_file: Path) -> None:
    """Batches `first`, `first + step`, … until there were so many inputs; reports each as a line of JSON."""
    targets = all_targets()
    quotas = quotas_of(targets)
    signal.signal(signal.SIGALRM, _hangs)
    batch, done = first, 0
    with place_file.open("r+b") as file, mmap.mmap(file.fileno(), PLACE.size) as place:
        while done < inputs and time.monotonic() < deadline:
            target = batch_target(batch, targets, quotas)
            mutator = cases_of(target, seed, batch)
            count = number = 0
            began = time.monotonic()
            error = ""
            signal.alarm(_BATCH_TAKES_AT_MOST_S)
            try:
                for number in range(BATCH):
                    PLACE.pack_into(place, 0, batch, number)
                    count += target.check(target.mutated(mutator))
            except (Exception, Hangs):
                error = traceback.format_exc(limit=-4)
            signal.alarm(0)
            done += count
            report = {
                "target": target.name, "batch": batch, "cases": number + 1, "inputs": count,
                "seconds": time.monotonic() - began, "error": error,
            }  # fmt: skip
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
            batch += step


def main() -> None:
    """Command line of `tests.fuzz.run` only."""
    arguments = argparse.ArgumentParser()
    for name in ("seed", "first", "step", "inputs"):
        arguments.add_argument(f"--{name}", type=int, required=True)
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--place", type=Path, required=True)
    options = arguments.parse_args()
    deadline = time.monotonic() + options.seconds
    run(options.seed, options.first, options.step, options.inputs, deadline, options.place)


if __name__ == "__main__":
    main()
