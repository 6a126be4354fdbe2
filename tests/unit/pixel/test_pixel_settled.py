"""The set of frames that have been told, against a plain set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.pixel.settled import Settled

runs = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda run: (run[0], run[0] + run[1])), max_size=30
)


@given(st.integers(-1, 10), runs, st.integers(0, 70), st.integers(0, 70))
def test_it_holds_what_was_added_and_names_what_was_not(
    floor: int, added: list[tuple[int, int]], first: int, last: int
) -> None:
    settled, plain = Settled(floor), set(range(floor + 1))
    for begin, end in added:
        settled.add(begin, end)
        plain |= set(range(begin, end + 1))
    assert all((seq in settled) == (seq in plain) for seq in range(80))
    holes = [seq for begin, end in settled.absent(first, last) for seq in range(begin, end + 1)]
    assert holes == [seq for seq in range(first, last + 1) if seq not in plain]
    assert settled.floor + 1 not in plain
    assert all(seq in plain for seq in range(settled.floor + 1))
