from aggregate.unplaced import Unplaced

S = 1_000_000_000


class Told:
    def __init__(self) -> None:
        self.said: list[tuple[bool, str]] = []

    def tell(
        self, condition: str, *, holds: bool, summary: str, camera: str = "", priority: int = 3,
        facts: dict[str, object] | None = None,
    ) -> bool:  # fmt: skip
        if not self.said or self.said[-1][0] != holds:
            self.said.append((holds, summary))
        return True


def test_inspections_that_nobody_has_for_long_are_an_alarm_until_somebody_has_them() -> None:
    told = Told()
    unplaced = Unplaced(told, after_ns=20 * S)
    unplaced.looked((), 1, 0)
    unplaced.looked(("gate.motion",), 0, 1 * S)
    unplaced.looked(("gate.motion",), 0, 20 * S)
    assert [holds for holds, _ in told.said] == [False]
    unplaced.looked(("gate.motion",), 0, 21 * S)
    assert told.said[-1] == (True, "Nobody carries out inspections (gate.motion): no worker answers.")
    unplaced.looked((), 1, 22 * S)
    assert told.said[-1] == (False, "")


def test_an_inspection_that_goes_from_worker_to_worker_is_none() -> None:
    told = Told()
    unplaced = Unplaced(told, after_ns=20 * S)
    for second in range(0, 100, 10):
        unplaced.looked(("gate.motion",), 1, second * S)
        unplaced.looked((), 1, (second + 5) * S)
    assert [holds for holds, _ in told.said] == [False]


def test_many_are_counted_and_it_is_said_whether_there_are_workers() -> None:
    told = Told()
    unplaced = Unplaced(told, after_ns=0)
    unplaced.looked(tuple(f"cam-{n}.motion" for n in range(9)), 2, S)
    assert told.said[-1][1].endswith("cam-4.motion and 4 more): no worker of the pool can, or has room.")
