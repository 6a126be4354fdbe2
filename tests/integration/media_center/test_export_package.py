"""Ranges of several cameras come as files with one signed manifest, which proves them; whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from media_center.client import SyncFootageClient, footage_range, verify_paths, worst
from media_center.keys import FootageSigner, TrustedKeys, read_trusted
from media_center.manifest import parse_manifest
from media_center.verify_report import Outcome
from mesh.errors import DataLoss, InvalidArgument, NotFound, PermissionDenied
from mesh.files import private_folder
from mesh.ids import FrameId
from tests.footage import EPOCH, SECOND, add_clip, clip_script, coded_clip, read_bars, record

Instance = Any
CHANGED = EPOCH + 9


def frame(seq: int, camera: str = "gate", epoch: int = EPOCH) -> FrameId:
    return FrameId(camera, epoch, seq)


@pytest.fixture
def instance(make_instance: Callable[..., Instance]) -> Instance:
    """A media center over two cameras' footage; one changed its codec."""
    made = make_instance()
    signer = FootageSigner.of_folder(made.data_dir / "keys", EPOCH)
    private_folder(made.footage_dir)
    record(made.footage_dir, clip_script(120).items, signer=signer)
    yard = clip_script(36, camera="yard")
    yard.end()
    yard.now_ns += 2 * SECOND
    add_clip(yard, 36, epoch=CHANGED, codec="mjpeg")
    record(made.footage_dir, yard.items, signer=signer)
    made.start("media_center")
    made.wait_ready("media_center")
    return made


@pytest.fixture
def footage(instance: Instance) -> Iterator[SyncFootageClient]:
    with instance.footage("administrator") as client:
        yield client


@pytest.fixture
def trusted(instance: Instance) -> TrustedKeys:
    return read_trusted([instance.data_dir / "keys" / "footage-keys.json"])


def first_picture(path: Path) -> int:
    with av.open(str(path)) as container:
        return read_bars(next(container.decode(video=0)).to_ndarray(format="gray8"))


def test_a_package_holds_every_range_and_its_manifest_proves_it(
    instance: Instance, footage: SyncFootageClient, trusted: TrustedKeys, tmp_path: Path
) -> None:
    seen: set[str] = set()
    package = footage.export_package(
        [
            footage_range("gate", frame(20), frame(40)),
            footage_range("gate", frame(70), frame(99)),
            footage_range("yard"),
        ],
        tmp_path / "case",
        purpose="case 17",
        progress=lambda name, _, __: seen.add(name),
    )
    assert [(one.first, one.last) for one in package.files] == [
        (frame(20), frame(40)),
        (frame(70), frame(99)),
        (frame(0, "yard"), frame(35, "yard")),
        (frame(0, "yard", CHANGED), frame(35, "yard", CHANGED)),
    ]
    assert first_picture(package.files[0].path) == coded_clip(60)[20].shown
    assert seen == {one.path.name for one in package.files}
    for one in package.files:
        assert hashlib.sha256(one.path.read_bytes()).digest() == one.digest
    assert sorted(path.name for path in (tmp_path / "case").iterdir()) == sorted([*seen, package.manifest.name])

    manifest, _ = parse_manifest(package.manifest.read_bytes())
    assert (manifest.made_for, manifest.purpose) == ("administrator", "case 17")
    assert [file.codec for file in manifest.files] == ["h264", "h264", "h264", "mjpeg"]
    rows = list(footage.frames("gate", frame(20), frame(40)))
    assert [one.digest for one in manifest.files[0].frames][-21:] == [row.digest for row in rows]
    assert all(file.seals for file in manifest.files[:2])
    reports = verify_paths([tmp_path / "case"], trusted)
    assert [finding for report in reports for finding in report.findings] == []
    assert worst(reports) == Outcome.GOOD
    assert worst(verify_paths([tmp_path / "case"], TrustedKeys([FootageSigner.generate().public_key]))) != Outcome.GOOD


def test_a_changed_bit_or_a_file_of_another_package_is_found(
    footage: SyncFootageClient, trusted: TrustedKeys, tmp_path: Path
) -> None:
    package = footage.export_package([footage_range("gate", frame(20), frame(40))], tmp_path / "case")
    path = package.files[0].path
    sound = path.read_bytes()
    for at in (10, len(sound) // 2, len(sound) - 10):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
        assert worst(verify_paths([tmp_path / "case"], trusted)) == Outcome.BROKEN
    other = footage.export_package([footage_range("gate", frame(20), frame(41))], tmp_path / "other")
    path.write_bytes(other.files[0].path.read_bytes())
    assert worst(verify_paths([tmp_path / "case"], trusted)) == Outcome.BROKEN


def test_one_file_gets_the_name_that_was_asked_for(
    footage: SyncFootageClient, trusted: TrustedKeys, tmp_path: Path
) -> None:
    one = footage.export_package([footage_range("gate", frame(3), frame(9))], tmp_path, file_name="clip.mp4")
    assert sorted(path.name for path in tmp_path.glob("*clip*")) == ["clip.mp4", "manifest_clip.json"]
    assert one.files[0].path == tmp_path / "clip.mp4"
    assert worst(verify_paths([tmp_path / "clip.mp4"], trusted)) == Outcome.GOOD
    two = footage.export_package([footage_range("yard")], tmp_path, file_name="yard.mp4")
    assert [file.path.name for file in two.files] == ["yard-1-h264.mp4", "yard-2-mjpeg.mp4"]
    same = footage.export_package([footage_range("gate", frame(3), frame(9))] * 2, tmp_path / "twice")
    assert len({file.path.name for file in same.files}) == 2


def test_what_cannot_be_exported_leaves_nothing(instance: Instance, footage: SyncFootageClient, tmp_path: Path) -> None:
    wanted = footage_range("gate", frame(20), frame(40))
    for error, ranges in (
        (NotFound, [wanted, footage_range("gate", frame(5, epoch=EPOCH + 1), frame(9, epoch=EPOCH + 1))]),
        (NotFound, [wanted, footage_range("nowhere")]),
        (InvalidArgument, []),
        (InvalidArgument, [wanted] * 257),
    ):
        with pytest.raises(error):
            footage.export_package(ranges, tmp_path / "case")
    for name in ("../clip.mp4", "/clip.mp4", "a\\b.mp4", "..", "a\nb", "x" * 300):
        with pytest.raises(InvalidArgument, match="file_name"):
            footage.export_package([wanted], tmp_path, file_name=name)
    with pytest.raises(InvalidArgument, match="purpose"):
        footage.export_package([wanted], tmp_path, purpose="x" * 3000)
    with instance.footage("operator", ["yard"]) as of_yard, pytest.raises(PermissionDenied):
        of_yard.export_package([footage_range("yard"), wanted], tmp_path / "case")
    with instance.footage("viewer") as viewer, pytest.raises(PermissionDenied):
        viewer.export_package([wanted], tmp_path / "case")
    (segment,) = list(footage.segments(["gate"]))[:1]
    path = instance.footage_dir / "gate" / segment.name
    data = path.read_bytes()
    path.write_bytes(data[:1000] + bytes(byte ^ 1 for byte in data[1000:]))
    with pytest.raises(DataLoss, match="damaged"):
        footage.export_package(
            [footage_range("gate", to := frame(99)), footage_range("gate", end=to)], tmp_path / "case"
        )
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("data-")] == []


def test_a_package_is_told_in_the_access_log_range_by_range(footage: SyncFootageClient, tmp_path: Path) -> None:
    footage.export_package(
        [footage_range("gate", frame(20), frame(40)), footage_range("yard")], tmp_path / "case", purpose="case 17"
    )
    yard, gate = footage.accesses(limit=2)
    assert (gate.action, gate.camera, yard.camera) == ("package", "gate", "yard")
    assert (gate.from_ns, gate.to_ns) == (EPOCH + 20 * SECOND // 25, EPOCH + 40 * SECOND // 25)
    assert "case 17" in gate.detail
    assert str(frame(20)) in gate.detail
