"""What a target of fuzzing is: a corpus, how a case is made from it, and what must hold for any case."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from tests.fuzz.cases import Case, corpus_of
from tests.fuzz.mutate import Mutator


class Target:
    """A parser, or several of a kind. Subclasses name it, and check.

    `share`: of the inputs of a whole run. `words`: what the format is made of.
    """

    name = ""
    share = 1.0
    words: Sequence[bytes] = ()

    @property
    def inputs_a_case(self) -> float:
        """How many inputs a case has on average."""
        return sum(len(case) - 1 for case in self.corpus) / len(self.corpus)

    def __init__(self) -> None:
        self.corpus = list(corpus_of(self.name).values())
        self.parts = [part for case in self.corpus for part in case[1:]]

    def mutated(self, mutator: Mutator) -> Case:
        """A case made of one of the corpus."""
        return mutator.case(self.corpus[mutator.below(len(self.corpus))], self.parts)

    def check(self, case: Case) -> int:
        """Hands the case to the parser; returns how many inputs it was. Raises whatever must not be raised."""
        raise AssertionError(f"{type(self).__name__} checks nothing")


class OneByOne(Target):
    """Every input of a case is one by itself. `refusals`: what the parser raises of an input that it refuses."""

    refusals: tuple[type[Exception], ...] = ()

    def check(self, case: Case) -> int:
        for data in case[1:]:
            with suppress(*self.refusals):
                self.check_one(data, case[0])
        return len(case) - 1

    def check_one(self, data: bytes, options: bytes) -> None:
        """Hands one input to the parser; `options`: bytes for choices of its own."""
        raise AssertionError(f"{type(self).__name__} checks nothing")


def option(options: bytes, place: int, default: int = 0) -> int:
    """One byte of a case's options; a case of the corpus may have none."""
    return options[place] if place < len(options) else default


def pieces(data: bytes, options: bytes, largest: int = 400) -> list[bytes]:
    """The data cut as the options say."""
    found, at, turn = [], 0, 0
    while at < len(data):
        size = 1 + option(options, turn % 8, 255) * largest // 256
        found.append(data[at : at + size])
        at += size
        turn += 1
    return found
