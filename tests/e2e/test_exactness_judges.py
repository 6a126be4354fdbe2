"""The judges of the exactness proofs find a difference where there is one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from simulator.log import SentUnit
from tests.exactness_100k import Taken, Unit, differences, differs_from_log, film_pictures, place_in_film
from tests.exactness_sources import FPS, Film, changing_sets


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def log(*connections: range, dropped: int = -1) -> list[SentUnit]:
    return [
        SentUnit(n, 0, 0, digest(n), n, 1, int(n == dropped), number)
        for number, numbers in enumerate(connections, 1)
        for n in numbers
    ]


def units(*numbers: int, epoch: int = 1) -> list[Unit]:
    return [(epoch, seq, digest(n)) for seq, n in enumerate(numbers)]


@pytest.mark.parametrize(
    ("came", "wrong", "cut"),
    [
        (units(2, 3, 4, 5), 0, 0),
        (units(2, 3, 5), 1, 0),
        (units(2, 4, 3, 5), 2, 0),
        (units(2, 3, 3, 4), 2, 0),
        (units(2, 3, 99), 1, 6),
        (units(8, 9) + units(10, 11, epoch=2), 0, 0),
        (units(7, 8) + units(10, 11, epoch=2), 0, 1),
        (units(8, 9) + units(11, epoch=2), 1, 0),
    ],
)
def test_what_came_is_held_against_the_log(came: list[Unit], wrong: int, cut: int) -> None:
    assert differs_from_log(log(range(10), range(10, 20)), came) == (wrong, cut)


def test_a_unit_that_the_camera_left_out_is_not_missed() -> None:
    assert differs_from_log(log(range(10), dropped=4), units(2, 3, 5, 6)) == (0, 0)


def test_sequences_of_unequal_length_differ() -> None:
    assert differences([1, 2, 3], [1, 2]) == 1
    assert differences([1, 2], [2, 1]) == 2


def test_a_film_is_found_from_any_unit_on_and_a_changed_one_is_told(tmp_path: Path) -> None:
    film = Film(changing_sets(tmp_path / "film.ts", 2), "h264", "", whole=True)
    own = film.units()
    assert len(set(own)) == 4 * FPS
    taken = Taken([(1, seq, hashlib.sha256(own[(15 + seq) % len(own)]).digest()) for seq in range(150)])
    assert place_in_film(film, taken) == (0, 15)
    assert sum(1 for _ in film_pictures(film, 15, 150)) == 150
    taken.units[70] = (1, 70, digest(0))
    assert place_in_film(film, taken) == (1, 15)
