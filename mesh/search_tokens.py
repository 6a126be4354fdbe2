"""Words of texts in any script, as documents store them, and of what somebody typed, as the store is asked for them.

Text is brought to one form (NFKC, case folded, accents of Latin and Greek letters dropped) and cut by script:

* Letters and digits that are written with spaces between words: the word; its digits also alone ("cam12", "12").
* Chinese, Japanese and Korean: every character, and every two that are neighbours.
* Thai, Lao, Khmer, Burmese and Tibetan, written without spaces: the same, by characters with their marks.

A search finds a document that holds all that was typed: words by their beginnings ("gat" finds "Gate"), the rest
anywhere inside. A longer run of characters is looked for by its neighbouring pairs, which may stand apart; `matches`
says of a text whether they do not. Pure; what does not belong here: the index, which is the store's.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from mesh.store_port import Holds

MAX_WORDS = 1024
"""Words kept of one document; of more, those that come last in the texts cannot be found."""
MAX_WORD_CHARACTERS = 48
MAX_QUERY_WORDS = 32
_MAX_TEXT = 65_536
_SHORT_TEXT = 100
_ASCII_RUN = re.compile("[a-z0-9]+")

# Scripts that are cut into single characters and pairs: first and last code point.
_PAIRED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1100, 0x11FF),  # Hangul Jamo
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3100, 0x31FF),  # Bopomofo, Jamo, Kanbun, Katakana extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)


class _Kind(Enum):
    SPACED = "words with spaces between them"
    PAIRED = "single characters and pairs"


def words_of(*texts: str) -> list[str]:
    """The words to store for these texts: distinct, sorted, at most MAX_WORDS of at most 48 characters."""
    found: dict[str, None] = {}
    for text in texts:
        for kind, run in _runs(text):
            for word in _pieces(run) if kind is _Kind.PAIRED else _spaced(run):
                found.setdefault(word)
            if len(found) >= MAX_WORDS:
                return sorted(list(found)[:MAX_WORDS])
    return sorted(found)


def condition_of(typed: str) -> Holds | None:
    """The condition for what somebody typed; None if there is no letter and no digit in it: that finds nothing.

    Words are found by their beginnings; a word in quotation marks only whole. At most 32 words, the first ones.
    """
    whole: dict[str, None] = {}
    prefixes: dict[str, None] = {}
    for part, quoted in _quoted(typed):
        for kind, run in _runs(part):
            if kind is _Kind.SPACED:
                (whole if quoted else prefixes).setdefault("".join(run)[:MAX_WORD_CHARACTERS])
            else:
                for word in run if len(run) == 1 else _pairs(run):
                    whole.setdefault(word)
    if not whole and not prefixes:
        return None
    kept = [*whole, *prefixes][:MAX_QUERY_WORDS]
    return Holds(all=[word for word in kept if word in whole], prefixes=[word for word in kept if word not in whole])


def is_found_exactly(typed: str) -> bool:
    """Whether `condition_of` says all of it: every document that it finds also `matches`."""
    runs = [found for part, _ in _quoted(typed) for found in _runs(part)]
    return len(runs) <= MAX_QUERY_WORDS and all(
        len(run) <= 2 if kind is _Kind.PAIRED else len("".join(run)) <= MAX_WORD_CHARACTERS for kind, run in runs
    )


def matches(typed: str, *texts: str) -> bool:
    """Whether the texts hold what was typed: each word's beginning, each run of characters in one piece.

    Stricter than `condition_of` by one thing: three characters and more have to stand together.
    """
    spaced: set[str] = set()
    paired: list[str] = []
    for text in texts:
        for kind, run in _runs(text):
            if kind is _Kind.SPACED:
                spaced.update(_spaced(run))
            else:
                paired.append("".join(run))
    asked = [(kind, "".join(run), quoted) for part, quoted in _quoted(typed) for kind, run in _runs(part)]
    return bool(asked) and all(
        any(text in one for one in paired)
        if kind is _Kind.PAIRED
        else any(one == text[:MAX_WORD_CHARACTERS] or (not quoted and one.startswith(text)) for one in spaced)
        for kind, text, quoted in asked
    )


def folded(text: str) -> str:
    """One form of all ways to write a text: NFKC, case folded, Latin and Greek letters without accents."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text[:_MAX_TEXT]).casefold())
    kept: list[str] = []
    base = ""
    for character in decomposed:
        if not unicodedata.combining(character):
            base = character
        elif _loses_accents(base):
            continue
        kept.append(character)
    return unicodedata.normalize("NFKC", "".join(kept)).casefold()


def _loses_accents(base: str) -> bool:
    return base < "\u0400" or "\u1e00" <= base < "\u2000"


def _runs(text: str) -> Iterator[tuple[_Kind, Sequence[str]]]:
    """Unbroken runs of letters, marks and digits of one kind; each as its characters with their marks."""
    if text.isascii():
        # Most texts: no marks, no other forms, one kind.
        for found in _ASCII_RUN.finditer(text[:_MAX_TEXT].lower()):
            yield _Kind.SPACED, found[0]
    elif len(text) <= _SHORT_TEXT:
        yield from _short_runs(text)
    else:
        yield from _cut(text)


@functools.lru_cache(1024)
def _short_runs(text: str) -> tuple[tuple[_Kind, Sequence[str]], ...]:
    # What a camera's events are called comes again and again; a megabyte of it is remembered at most.
    return tuple(_cut(text))


def _cut(text: str) -> Iterator[tuple[_Kind, Sequence[str]]]:
    kind: _Kind | None = None
    run: list[str] = []
    for character in folded(text):
        category = unicodedata.category(character)[0]
        if category == "M" and run:
            run[-1] += character
            continue
        of = None if category not in "LN" else _Kind.PAIRED if _is_paired(character) else _Kind.SPACED
        if of is not kind:
            if kind is not None and run:
                yield kind, run
            kind, run = of, []
        if of is not None:
            run.append(character)
    if kind is not None and run:
        yield kind, run


def _is_paired(character: str) -> bool:
    code = ord(character)
    return code >= 0x0E00 and any(first <= code <= last for first, last in _PAIRED)


def _spaced(run: Sequence[str]) -> Iterator[str]:
    word = "".join(run)
    yield word[:MAX_WORD_CHARACTERS]
    if not word.isalpha() and not word.isdecimal():
        digits = "".join(one if one.isdecimal() else " " for one in word).split()
        yield from (one[:MAX_WORD_CHARACTERS] for one in digits)


def _pieces(run: Sequence[str]) -> Iterable[str]:
    return [*run, *_pairs(run)]


def _pairs(run: Sequence[str]) -> list[str]:
    return [first + second for first, second in itertools.pairwise(run)]


def _quoted(typed: str) -> Iterator[tuple[str, bool]]:
    for number, part in enumerate(typed[:_MAX_TEXT].replace("“", '"').replace("”", '"').split('"')):
        yield part, number % 2 == 1
