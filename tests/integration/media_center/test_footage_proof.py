"""What a running media center proves: seals, snapshots with proof, scrubbing, rotation of the key."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import simulator.testing
from media_center.chain import read_head
from media_center.keys import FootageSigner, read_trusted, rotate
from media_center.scan import scan
from media_center.scrub import CONDITION
from media_center.seal_files import read_seal
from media_center.verify_files import verify_paths
from media_center.verify_report import Outcome
from mesh.bus import EVENT_STREAM, Bus, Message
from mesh.ids import FrameId
from tests.footage import EPOCH, Script, clip_script, record
from tests.nats_process import NatsProcess
from tests.support import auntil, until
from trueframe.commands.verify import command as verify_command


@pytest.fixture(scope="module")
def archive(instance_type: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A media center over sealed footage of two cameras; its broker is away."""
    made = instance_type(tmp_path_factory.mktemp("proof") / "data", media_center__scrub_days=0)
    made.footage_dir.mkdir(parents=True)
    signer = FootageSigner.of_folder(made.data_dir / "keys", 1)
    record(made.footage_dir, clip_script().items, signer=signer)
    record(made.footage_dir, Script("yard").start().frames(95).items, signer=signer)
    made.start("media_center")
    try:
        made.wait_ready("media_center")
        yield made
    finally:
        made.stop()


def ring(archive: Any) -> Path:
    path: Path = archive.data_dir / "keys" / "footage-keys.json"
    return path


def segments(archive: Any, camera: str) -> list[Path]:
    return sorted((archive.footage_dir / camera).glob("*.mp4"))


def test_the_private_key_is_readable_by_its_owner_alone(archive: Any) -> None:
    assert (archive.data_dir / "keys" / "footage-signing.key").stat().st_mode & 0o777 == 0o600


def test_a_snapshot_comes_with_a_proof_that_binds_it_to_its_frame(archive: Any, tmp_path: Path) -> None:
    with archive.footage() as footage:
        shot = footage.snapshot(FrameId("gate", EPOCH, 17))
    (tmp_path / "shot.png").write_bytes(shot.png)
    (tmp_path / "shot.proof.json").write_bytes(shot.proof)

    (report,) = verify_paths([tmp_path / "shot.png"], read_trusted([ring(archive)]))

    assert report.outcome is Outcome.GOOD, report
    statement = json.loads(shot.proof)["statement"]
    assert (statement["seq"], statement["digest"]) == (17, shot.frame.digest.hex())


def test_scrubbing_sound_footage_finds_nothing_and_says_how_far_it_is(archive: Any) -> None:
    with archive.footage("maintainer") as footage:
        answers = list(footage.scrub(["yard"]))
    assert not any(answer.findings for answer in answers)
    assert answers[-1].segments_done == len(segments(archive, "yard")) - 1, "all but the open one"
    assert answers[-1].bytes_done > 0


def test_scrubbing_names_the_frame_whose_bits_flipped_until_it_is_restored(archive: Any) -> None:
    victim = segments(archive, "yard")[1]
    data = victim.read_bytes()
    row = scan(victim).boxes[0].rows[-2]
    changed = bytearray(data)
    changed[int(row["offset"]) + 20] ^= 4
    victim.write_bytes(changed)
    with archive.footage("maintainer") as footage:
        findings = [finding for answer in footage.scrub(["yard"]) for finding in answer.findings]
        assert [(f.kind, f.segment, f.frame.seq) for f in findings] == [("payload", victim.name, int(row["seq"]))]
        assert footage.storage().damaged_segments == 1
        assert "not as they were recorded" in archive.log("media_center")
        victim.write_bytes(data)
        assert not [finding for answer in footage.scrub() for finding in answer.findings]
        assert footage.storage().damaged_segments == 0


def test_a_rotated_key_is_taken_up_by_itself_and_old_seals_stay_good(
    make_instance: Callable[..., Any], tmp_path: Path
) -> None:
    made = make_instance(media_center__scrub_days=0)
    made.footage_dir.mkdir(parents=True)
    keys = made.data_dir / "keys"
    signer = FootageSigner.of_folder(keys, 1)
    record(made.footage_dir, Script("yard").start().frames(95).items, signer=signer)
    pinned = (keys / "footage-signing.pub").read_bytes()
    made.start("media_center")
    made.wait_ready("media_center")
    entry = rotate(keys, 2)
    made.end("media_center")

    newest = read_seal(segments(made, "yard")[-1])
    assert newest is not None
    assert newest.key_id == entry.id, "sealed at the stop, with the new key"
    (tmp_path / "pinned.pub").write_bytes(pinned)
    trusted = read_trusted([tmp_path / "pinned.pub", keys / "footage-keys.json"])
    (report,) = verify_paths([made.footage_dir / "yard"], trusted)
    assert len(report.signers) == 2
    (alone,) = verify_paths([made.footage_dir / "yard"], read_trusted([tmp_path / "pinned.pub"]))
    assert alone.outcome is Outcome.UNKNOWN_SIGNER


async def test_scrubbing_in_the_background_finds_what_rots_and_it_is_an_alarm_until_restored(
    make_instance: Callable[..., Any], tmp_path: Path
) -> None:
    told: list[dict[str, Any]] = []

    async def keep(message: Message) -> None:
        told.append(json.loads(message.data))

    with NatsProcess(tmp_path / "nats") as nats:
        async with Bus(nats.url, name="test") as bus:
            await bus.ready(15)
            await bus.ensure_stream()
            bus.subscribe_durable(EVENT_STREAM, "test", "trueframe.system.media-center", keep)
            await asyncio.to_thread(_rot_and_restore, make_instance(media_center__scrub_days=1, nats__url=nats.url))

            def about_yard() -> list[bool]:
                return [one["holds"] for one in told if (one["condition"], one["camera"]) == (CONDITION, "yard")]

            await auntil(lambda: about_yard() == [False, True, False], 20, "each change is told, and the start")
    alarm = next(one for one in told if one["condition"] == CONDITION and one["holds"])
    assert alarm["priority"] == 2
    assert "1 segments" in alarm["summary"]


def _rot_and_restore(made: Any) -> None:
    made.footage_dir.mkdir(parents=True)
    record(
        made.footage_dir,
        Script("yard").start().frames(95).items,
        signer=FootageSigner.of_folder(made.data_dir / "keys", 1),
    )
    victim = segments(made, "yard")[0]
    sound = victim.read_bytes()
    data = bytearray(sound)
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    made.start("media_center")
    made.wait_ready("media_center")
    with made.footage() as footage:
        found = until(lambda: footage.storage().damaged_segments, 20, "the scrub finds it")
        assert found == 1
        until(lambda: footage.storage().scrubbed_ns, 20, "the round is complete")
    victim.write_bytes(sound)
    with made.footage("maintainer") as footage:
        assert not [finding for answer in footage.scrub() for finding in answer.findings]


def test_kills_and_stops_leave_chains_that_are_good_and_so_is_footage_that_is_being_recorded(instance: Any) -> None:
    trusted = read_trusted([ring(instance)])

    def verified() -> list[str]:
        reports = verify_paths([instance.footage_dir], trusted)
        assert [report.outcome for report in reports] == [Outcome.GOOD] * 2, [report.findings for report in reports]
        return [note for report in reports for note in report.notes]

    def frames() -> int:
        with instance.footage() as footage:
            return min([one.last.seq for one in footage.recordings().recordings if one.camera == "cam-2"], default=-1)

    def has_open_segment(camera: str) -> bool:
        """Whether there is footage behind a sealed segment, so that a kill leaves a segment open."""
        head = read_head(instance.footage_dir / camera)
        with instance.footage() as footage:
            recorded = [one.last.seq for one in footage.recordings().recordings if one.camera == camera]
        return head is not None and bool(recorded) and max(recorded) > head.last_seq

    with simulator.testing.running(2, fps=25) as sim, instance.broker() as broker:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)
        until(lambda: all(map(has_open_segment, sim.urls)), 60, "each camera has a closed segment and an open one")
        for number in (signal.SIGKILL, signal.SIGTERM):
            instance.end("media_center", number)
            verified()
            instance.start("media_center")
            instance.wait_ready("media_center")
            reached = frames()

            def has_gone_on(reached: int = reached) -> bool:
                verified()
                return frames() > reached + 40

            until(has_gone_on, 30)
        instance.end("media_center")
    notes = verified()
    assert any("a crash had left it open" in note for note in notes)
    assert not any("nothing proves it" in note for note in notes)


def test_verify_tells_programs_and_scripts_how_it_stands(archive: Any, tmp_path: Path) -> None:
    folder = str(archive.footage_dir / "gate")
    runner = CliRunner()
    known = runner.invoke(verify_command, [folder, "--key", str(ring(archive)), "--json"], standalone_mode=False)
    assert known.return_value == 0, known.output
    assert json.loads(known.output)["outcome"] == "good"
    unknown = runner.invoke(verify_command, [folder, "--data", str(tmp_path)], standalone_mode=False)
    assert unknown.return_value == 1
    assert "unknown signer" in unknown.output
