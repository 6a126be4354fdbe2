"""Footage cut off at random: does the next start serve everything that was confirmed, and nothing that is false?

    python -m tests.footage_cuts --cuts 5000 --kills 100 --media-center-kills 30 --result docs/results/cuts.json

A cut: a process records a story through the real writer while `disk_shim.c` tells what it does to the disk. Any moment
of that is taken, and what a kill, a power cut, or a power cut with garbage may leave of it then is laid into a folder
(`disk_trace`); caches are lost or torn on top of it. A kill: the same process, killed by SIGKILL for real. After each,
the real recovery starts, and all of the footage is read.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import machine
from broker.client import WireFrame
from media_center.folder_notes import NAMES, FolderNotes, parse_notes
from media_center.footage import CameraFootage, RowCache
from media_center.recovery import recover
from media_center.seal import SEAL_SIZE
from media_center.seal_files import read_seal
from tests import footage_kills
from tests.disk_trace import SYNC, WAYS, Disk, Op, Way, lay, parse
from tests.footage import Script, close, decoded, replayed
from tests.footage_recorder import Recording, behind, signer_of, story
from trueframe.v1 import frames_pb2

CUTS_OF_A_STORY = 100
_TORN_WORDS = ("torn tail trimmed", "segment without a whole fragment removed")
_MOST_BETWEEN_KILLS = 300_000
_CACHES = (".idx", "catalogue")
_MISSING = (frames_pb2.GAP_REASON_UNREADABLE, frames_pb2.GAP_REASON_RECORDER_LOST)


@dataclass
class Tally:
    """What came out."""

    cuts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    cuts_of_a_slow_disk: int = 0
    """Of them, where much lay between two syncs."""
    kills: int = 0
    frames_read: int = 0
    corrupt_reads: int = 0
    """Entries of the stream that no camera ever sent, or in another order."""
    lost_confirmed: int = 0
    """Frames that were told as confirmed and are not served: the bound is what was not."""
    holes_told: int = 0
    """Unconfirmed frames that are gone while later ones are there: told as a gap of the right length."""
    torn_tails: int = 0
    torn_tails_unnamed: int = 0
    caches_spoilt: int = 0
    folders_as_noted: int = 0
    """Folders of cameras whose names nobody needs to look at."""
    went_on: int = 0
    """Times that recording went on behind a cut and the footage was the whole story in the end."""
    did_not_go_on: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was false, lost or silent."""
        return not (
            self.corrupt_reads or self.lost_confirmed or self.torn_tails_unnamed or self.did_not_go_on or self.failures
        )

    def fail(self, text: str) -> None:
        """Keeps the first failures to look at."""
        if len(self.failures) < 10:
            self.failures.append(text)


def build_shim(folder: Path) -> Path:
    """Compiles the library that tells what a process does to the disk."""
    made = folder / "disk_shim.so"
    source = Path(__file__).with_name("disk_shim.c")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", made, source, "-ldl", "-lpthread"], check=True)
    return made


class Logged(logging.Handler):
    """Collects what the recovery says."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a message with its fields."""
        self.texts.append(f"{record.getMessage()} {getattr(record, 'trueframe_fields', {})}")


@contextlib.contextmanager
def listening() -> Iterator[Logged]:
    """Hears what the recovery logs, and keeps it off the terminal."""
    heard = Logged()
    logger = logging.getLogger("tf.media_center.recovery")
    was = logger.propagate
    logger.addHandler(heard)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.removeHandler(heard)
        logger.propagate = was


def trace_story(shim: Path, folder: Path, seed: int, *, is_slow: bool) -> list[Op]:
    """Records a story and returns what was done to the disk. `is_slow`: much lies between two syncs."""
    folder.mkdir()
    trace = folder.with_name(folder.name + ".trace")
    environment = {"TF_DISK_ROOT": str(folder), "TF_DISK_TRACE": str(trace), "LD_PRELOAD": str(shim)}
    command = [sys.executable, "-m", "tests.footage_recorder", str(folder), str(seed), *["--slow"][:is_slow]]
    subprocess.run(command, check=True, env={**os.environ, **environment})
    return list(parse(trace.read_bytes()))


def acked(text: bytes) -> dict[str, tuple[int, int]]:
    """How far each camera was confirmed, out of the recorder's lines."""
    marks: dict[str, tuple[int, int]] = {}
    for line in text.split(b"\n")[:-1]:
        marks.update((camera, (epoch, seq)) for camera, (epoch, seq) in json.loads(line).items())
    return marks


def judge(folder: Path, scripts: dict[str, Script], confirmed: dict[str, tuple[int, int]], tally: Tally) -> None:
    """Starts over a folder and compares all that is served with what was sent and what was confirmed."""
    root = folder / "media"
    # A seal that was put on at an orderly stop is taken off again when recording goes on.
    sizes = {path: path.stat().st_size - (SEAL_SIZE if read_seal(path) else 0) for path in root.glob("*/*.mp4")}
    with listening() as heard:
        recovered = recover(root, signer_of(folder), FolderNotes(root))
    close(recovered)
    said = [text for text in heard.texts if text.startswith(_TORN_WORDS)]
    for path, size in sizes.items():
        if not path.exists() or path.stat().st_size < size:
            tally.torn_tails += 1
            if not any(path.name in text for text in said):
                tally.torn_tails_unnamed += 1
                tally.fail(f"{path.parent.name}/{path.name}: shortened from {size} bytes, and nothing says so")
    for camera, script in scripts.items():
        found = recovered.get(camera)
        entries = []
        if found is not None and len(found.table.view()):
            entries = replayed(CameraFootage(camera, found.table.view(), RowCache()))
        tally.frames_read += len(entries)
        compare(camera, script, entries, confirmed.get(camera, (-1, -1)), tally)


def compare(camera: str, script: Script, entries: list[bytes], confirmed: tuple[int, int], tally: Tally) -> None:
    """What is served must be what was sent, from the first on, at least as far as it was confirmed.

    A hole behind that may be told as one: what was written behind it reached the disk, and it did not.
    """
    items = [item if isinstance(item, WireFrame) else None for item in script.items]
    at = 0
    owes_gap = may_tell_gap = False
    for number, entry in enumerate(entries):
        if at < len(items) and entry == script.raw[at]:
            if owes_gap and items[at] is not None:
                break
            at += 1
            continue
        (item,) = decoded([entry])
        end = None
        if isinstance(item, frames_pb2.EpochStarted) and entry in script.raw[at:]:
            # How the epoch before it ended is not known any more, so how many are missing is not either.
            end = script.raw.index(entry, at)
            owes_gap = any(one is not None for one in items[at:end])
            may_tell_gap = True
        elif isinstance(item, frames_pb2.Gap) and may_tell_gap and not item.HasField("count"):
            end = at
            owes_gap = may_tell_gap = False
        elif isinstance(item, frames_pb2.Gap):
            end = _behind_hole(script, item, at, next(iter(entries[number + 1 :]), None))
        if end is None:
            tally.corrupt_reads += 1
            tally.fail(f"{camera}: entry {number} of {len(entries)} is not what was sent: {item}")
            return
        tally.holes_told += isinstance(item, frames_pb2.Gap)
        _count_lost(camera, items[at:end], confirmed, tally)
        at = end + isinstance(item, frames_pb2.EpochStarted)
    if owes_gap:
        tally.corrupt_reads += 1
        tally.fail(f"{camera}: frames are missing before entry {at}, and nothing says so")
    _count_lost(camera, items[at:], confirmed, tally)


def _behind_hole(script: Script, gap: frames_pb2.Gap, at: int, next_entry: bytes | None) -> int | None:
    """Where the stream goes on behind a gap that tells truly what is missing from `at` on; None if it does not.

    Frames that are missing are counted. A gap of unknown count stands for notes, which have no ids.
    """
    if gap.reason not in _MISSING or next_entry not in script.raw[at:]:
        return None
    end = script.raw.index(next_entry, at)
    missing = [item for item in script.items[at:end] if isinstance(item, WireFrame)]
    if gap.HasField("count"):
        is_true = len(missing) == gap.count > 0
    else:
        is_true = not missing and end > at and gap.reason == frames_pb2.GAP_REASON_UNREADABLE
    behind = script.items[end]
    if isinstance(behind, WireFrame):
        is_true = is_true and behind.id.to_proto() == gap.before
    return end if is_true else None


def _count_lost(camera: str, items: list[WireFrame | None], confirmed: tuple[int, int], tally: Tally) -> None:
    lost = [item.id for item in items if item is not None and (item.epoch, item.seq) <= confirmed]
    tally.lost_confirmed += len(lost)
    if lost:
        tally.fail(f"{camera}: confirmed up to {confirmed}, and {len(lost)} frames from {lost[0]} on are not served")


def goes_on(folder: Path, scripts: dict[str, Script], tally: Tally) -> None:
    """Records the rest behind a cut: then the footage must be the whole story."""
    with listening():
        recording = Recording(folder, sync_s=0.01)
        for item in behind(scripts, recording):
            recording.take(item)
        recording.stop()
        recovered = recover(folder / "media", signer_of(folder))
        close(recovered)
    for camera, script in scripts.items():
        entries = replayed(CameraFootage(camera, recovered[camera].table.view(), RowCache()))
        found = Tally()
        compare(camera, script, entries, (-1, -1), found)
        # What a hole had cost stays lost, and told; everything else is there.
        if entries == script.raw or (found.holes_told and not found.corrupt_reads and entries[-1] == script.raw[-1]):
            tally.went_on += 1
        else:
            tally.did_not_go_on += 1
            at = next((i for i, (a, b) in enumerate(zip(entries, script.raw, strict=False)) if a != b), -1)
            tally.fail(f"{camera}: went on to {len(entries)} of {len(script.raw)} entries, the first other is {at}")


def spoil_caches(folder: Path, dice: random.Random) -> int:
    """Removes or tears indexes and catalogues."""
    spoilt = 0
    for path in sorted(folder.glob("media/*/*")):
        if path.name.endswith(_CACHES) and dice.random() < 0.3:
            data = path.read_bytes()
            if dice.random() < 0.5:
                path.unlink()
            else:
                path.write_bytes(data[: dice.randint(0, len(data))] + dice.randbytes(dice.randint(0, 40)))
            spoilt += 1
    return spoilt


def cut_story(
    shim: Path,
    workplace: Path,
    seed: int,
    cuts: int,
    tally: Tally,
    ways: tuple[Way, ...] = WAYS,
    *,
    is_slow: bool = False,
    syncs_lie: bool = False,
) -> None:
    """Cuts one story at so many moments.

    `is_slow`: much lies between two syncs. `syncs_lie`: over a disk whose syncs of files do nothing.
    """
    folder = workplace / f"story-{seed}"
    ops = trace_story(shim, folder, seed, is_slow=is_slow)
    scripts = story(seed)
    dice = random.Random(seed)
    disk = Disk()
    times: dict[tuple[str, int], int] = {}
    moments = sorted(dice.randint(1, len(ops)) for _ in range(cuts))
    done = 0
    for number, moment in enumerate(moments):
        for op in ops[done:moment]:
            if not (syncs_lie and op.kind == SYNC and not disk.open_files[op.fd][1].is_folder):
                disk.apply(op)
                _take_note(op, disk, times)
        done = moment
        way = dice.choice(ways)
        files = disk.crash(way, dice)
        acks = disk.names.get(str(folder / "acks"))
        confirmed = acked(bytes(acks.now)) if acks is not None else {}
        left = workplace / "left"
        shutil.rmtree(left, ignore_errors=True)
        (left / "media").mkdir(parents=True)
        lay({path: data for path, data in files.items() if "/keys" not in path}, folder, left)
        tally.folders_as_noted += _set_times(folder, left, disk.left_versions, times)
        shutil.copytree(folder / "keys", left / "keys")
        if dice.random() < 0.3:
            tally.caches_spoilt += spoil_caches(left, dice)
        tally.cuts[way] += 1
        tally.cuts_of_a_slow_disk += is_slow
        try:
            if number % 4 == 0:
                # Over what the crash left, not over what a start before has put in order.
                other = workplace / "other"
                shutil.rmtree(other, ignore_errors=True)
                shutil.copytree(left, other)
                goes_on(other, scripts, tally)
            judge(left, scripts, confirmed, tally)
        except Exception as error:
            tally.fail(f"story {seed}, moment {moment} of {len(ops)}, {way}: {error!r}")
            raise
    shutil.rmtree(folder)


def _take_note(op: Op, disk: Disk, times: dict[tuple[str, int], int]) -> None:
    """Keeps what time of change was noted of the names that each folder has now."""
    if op.kind != SYNC or not disk.open_files[op.fd][0].endswith(NAMES):
        return
    path, file = disk.open_files[op.fd]
    for camera, note in parse_notes(bytes(file.now))[1].items():
        folder = f"{path.rpartition('/')[0]}/{camera}"
        times[folder, disk.versions.get(folder, 0)] = note.changed_ns


def _set_times(was: Path, left: Path, versions: dict[str, int], times: dict[tuple[str, int], int]) -> int:
    """Gives folders with the names that were noted the time that was; returns how many. Others have that of now."""
    count = 0
    for folder, version in versions.items():
        changed_ns = times.get((folder, version), 0)
        target = left / Path(folder).relative_to(was) if changed_ns else left
        if changed_ns and target.is_dir():
            os.utime(target, ns=(changed_ns, changed_ns))
            count += 1
    return count


def kill_recorders(workplace: Path, seed: int, kills: int, tally: Tally) -> None:
    """Kills a recording process for real, again and again over the same footage, until its story ends."""
    dice = random.Random(seed)
    left = kills
    while left > 0:
        seed += 1
        folder = workplace / f"killed-{seed}"
        folder.mkdir()
        scripts = story(seed, frames=600)
        acks = folder / "acks"
        command = [sys.executable, "-m", "tests.footage_recorder", str(folder), str(seed), "--fork"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as forker:
            assert forker.stdin is not None
            assert forker.stdout is not None
            is_over = False
            while left > 0 and not is_over:
                forker.stdin.write(b"go\n")
                forker.stdin.flush()
                child = int(forker.stdout.readline())
                _wait_until_grown(folder / "media", dice.randint(1, _MOST_BETWEEN_KILLS), child)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                is_over = int(forker.stdout.readline()) != signal.SIGKILL
                left -= not is_over
                tally.kills += not is_over
                # Over a copy: the next recorder shall find what the kill left.
                other = workplace / "other"
                shutil.rmtree(other, ignore_errors=True)
                shutil.copytree(folder, other)
                judge(other, scripts, acked(acks.read_bytes()) if acks.exists() else {}, tally)
            forker.stdin.close()
        goes_on(folder, scripts, tally)
        shutil.rmtree(folder)


def _wait_until_grown(root: Path, size: int, writing: int) -> None:
    """Waits until so many bytes more are in segments, or the process that writes them has ended."""
    goal = _size_of(root) + size
    deadline_s = time.monotonic() + 60
    while _size_of(root) < goal and _lives(writing):
        assert time.monotonic() < deadline_s, f"process {writing} writes nothing"
        os.sched_yield()


def _size_of(root: Path) -> int:
    size = 0
    for path in root.glob("*/*.mp4"):
        with contextlib.suppress(FileNotFoundError):  # a start removes what is torn
            size += path.stat().st_size
    return size


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def run(cuts: int, kills: int, seed: int) -> Tally:
    """The whole of it."""
    tally = Tally()
    memory = Path("/dev/shm")  # the disk is a model: a real one would only be slow
    with tempfile.TemporaryDirectory(prefix="trueframe-cuts-", dir=memory if memory.is_dir() else None) as name:
        workplace = Path(name)
        shim = build_shim(workplace)
        for number in range(-(-cuts // CUTS_OF_A_STORY)):
            count = min(CUTS_OF_A_STORY, cuts - number * CUTS_OF_A_STORY)
            cut_story(shim, workplace, seed + number, count, tally, is_slow=number % 2 == 1)
        if kills:
            kill_recorders(workplace, seed, kills, tally)
    return tally


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--media-center-kills", type=int, default=0, help="of a whole one; a sixth as many power cuts")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--result", type=Path, metavar="FILE", help="written as JSON, too, with the commit")
    options = parser.parse_args()
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip() if options.result else ""
    began_s = time.monotonic()
    tally = run(options.cuts, options.kills, options.seed)
    is_good = tally.is_good
    result = dataclasses.asdict(tally) | {
        "seed": options.seed,
        "is_good": is_good,
        "seconds": round(time.monotonic() - began_s, 1),
        "machine": machine(),
    }
    if options.media_center_kills:
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="trueframe-kills-") as folder:
            killed = footage_kills.run(
                Path(folder), options.media_center_kills, max(1, options.media_center_kills // 6), options.seed
            )
        is_good = is_good and killed.is_good
        result["media_center"] = dataclasses.asdict(killed) | {
            "is_good": killed.is_good,
            "seconds": round(time.monotonic() - began_s, 1),
            "machine": machine(),
        }
    if options.result is not None:
        options.result.write_text(json.dumps(result | {"commit": commit}, indent=1) + "\n")
    print(json.dumps(result) if options.json else "\n".join(f"{key:22} {value}" for key, value in result.items()))
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
