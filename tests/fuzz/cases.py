"""What a fuzzed input is, and how it lies in a file of the corpus.

A case is a list of parts: the first are options of the target's own (sizes, places to cut at), the rest is what comes
from outside, in order. A file that ends in `.parts` holds a whole case, each part behind its length in four bytes;
any other file is a single input with no options.
"""

from __future__ import annotations

from pathlib import Path

Case = list[bytes]
CORPUS = Path(__file__).parent / "corpus"


def write_case(path: Path, case: Case) -> None:
    """Stores a case; the suffix is `.parts`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(len(part).to_bytes(4, "big") + part for part in case))


def read_case(path: Path) -> Case:
    """A case of the corpus."""
    data = path.read_bytes()
    if path.suffix != ".parts":
        return [b"", data]
    case, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        case.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return case


def corpus_of(target: str) -> dict[str, Case]:
    """The corpus of a target, by file name; empty if it has none of its own."""
    return {path.name: read_case(path) for path in sorted((CORPUS / target).glob("*"))}
