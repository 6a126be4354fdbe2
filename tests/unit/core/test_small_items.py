"""A flood of small items stays within the budget too: what an item costs beside its bytes counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from broker.core import Hub
from trueframe.v1.frames_pb2 import Gap

_FLOOD = """
import sys
from broker.core import Hub, encode_item
from trueframe.v1.frames_pb2 import Gap

def rss():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS"))) * 1024

budget, cost = 24 << 20, int(sys.argv[1])
hub = Hub(budget_bytes=budget, item_cost=cost)
names = [f"cam-{number}" for number in range(20)]
for name in names:
    hub.ring(name)
before = rss()
worst = 0
for turn in range(12_000):
    for name in names:
        hub.append_item(name, encode_item(Gap(camera=name, count=turn)))
    if turn % 1000 == 0:
        worst = max(worst, rss())
    assert hub.used_bytes <= budget
print((worst - before) / budget)
"""


def share_of_budget(item_cost: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _FLOOD, str(item_cost)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_a_quarter_of_a_million_small_items_take_no_more_memory_than_the_budget() -> None:
    if "libasan" in Path("/proc/self/maps").read_text():
        pytest.skip("the sanitizer's own memory would be measured")
    assert share_of_budget(256) < 1.1
    assert share_of_budget(0) > 1.2, "without it the test would say nothing"


def test_the_budget_is_given_back_with_what_items_cost() -> None:
    hub = Hub(budget_bytes=100_000, item_cost=256)
    for name in ("gate", "yard"):
        hub.ring(name)
        for number in range(50):
            hub.append_item(name, Gap(camera=name, count=number))
    held = sum(hub.ring(name).bytes + 256 * len(hub.ring(name)) for name in ("gate", "yard"))
    assert hub.used_bytes == held
    hub.drop("gate")
    assert hub.used_bytes == hub.ring("yard").bytes + 256 * 50
    with pytest.raises(ValueError, match="what an item costs"):
        Hub(item_cost=-1)
