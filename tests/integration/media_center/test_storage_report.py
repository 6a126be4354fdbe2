"""How the disks are, asked over the wire and at the command line."""

from __future__ import annotations

from typing import Any

from media_center.writer import QUEUE_BYTES
from tests.support import until
from trueframe.commands.storage import record


def test_a_good_disk_is_told_with_space_speed_and_the_sealing_key(instance: Any) -> None:
    import simulator.testing

    with (
        simulator.testing.running(1, fps=25) as sim,
        instance.broker() as broker,
        instance.footage("viewer") as footage,
    ):
        broker.add_camera("cam-1", sim.urls["cam-1"])
        until(lambda: footage.storage().tiers[0].footage_bytes > 10_000, 30)
        found = footage.storage()
    (tier,) = found.tiers
    assert (tier.name, tier.location, tier.detail) == ("primary", str(instance.footage_dir), "")
    assert 0 < tier.free_bytes <= tier.total_bytes
    assert tier.write_p99_ns > 0
    assert found.queue_limit_bytes == QUEUE_BYTES
    assert len(found.key_id) == 32
    told = record(found)
    assert told["tiers"][0]["write_p99_ns"] == tier.write_p99_ns  # type: ignore[index]
    assert told["key_id"] == found.key_id
    on_disk = sum(path.stat().st_size for path in instance.footage_dir.rglob("*.mp4"))
    assert tier.footage_bytes <= on_disk
