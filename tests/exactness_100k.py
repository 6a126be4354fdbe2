"""Exactness in the large: mixed cameras, parameter sets that change, audio beside; every unit and picture compared.

`python -m tests.exactness_100k --json` → {"units": 100800, "differences": 0, "cameras": {…}, …}.

One embedded instance with twenty-one cameras (`exactness_sources`), until the live subscriber has that many units.
Then, for every camera, these must be the same units in the same order:

    sent      the simulator's logs; of films, the film's units, demuxed by FFmpeg (only their coded slices where
              GStreamer rewrites what is around them, or the broker adds earlier parameter sets at join points, as it is
              meant to)
    index     digests of the index           replay    digests computed here over what is replayed
    export    digests computed here over the samples of the exported files (one for each codec), demuxed by FFmpeg
    pictures  what FFmpeg decodes from the export, plane by plane: what the sender coded, decoded before it was sent

A unit that a camera sent into a connection that was being cut (recode) is no difference, and counted by itself; so is
one that a simulated camera did not send because this machine left it no time.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.harness import machine
from broker.client import EpochStarted, FrameId, Gap, SyncBrokerClient, WireFrame
from media_center.client import Export, SyncFootageClient
from simulator import bitstream, clip, counter
from simulator.log import SentUnit
from tests.embedded import embedded
from tests.exactness import Planes, exported_payloads, sender_planes, wait_recorded
from tests.exactness_sources import FEW, SIMULATED, Film, Sources, server_films, sources
from tests.real_peers import GstreamerServer, _missing
from trueframe.v1 import footage_pb2, frames_pb2

UNITS = 100_000
CHANGES = 8
"""How often every camera that can changes its parameter sets; evenly within the first nine tenths of a run."""
_CODECS = {frames_pb2.CODEC_H264: "h264", frames_pb2.CODEC_H265: "h265", frames_pb2.CODEC_MJPEG: "mjpeg"}
Unit = tuple[int, int, bytes]
"""Epoch, seq, digest."""


@dataclass
class Taken:
    """What the live subscriber got of one camera; digests computed here."""

    units: list[Unit] = field(default_factory=list)
    slices: list[bytes] = field(default_factory=list)
    """Digest of each unit's coded slices."""
    codecs: dict[int, str] = field(default_factory=dict)
    """By epoch."""
    gaps: list[str] = field(default_factory=list)
    damaged: int = 0
    set_changes: int = 0
    """Join points that brought other parameter sets than the one before."""
    _sets: tuple[bytes, ...] = ()

    def take(self, frame: WireFrame) -> None:
        """Counts one frame."""
        payload = bytes(frame.payload)
        self.units.append((frame.epoch, frame.seq, hashlib.sha256(payload).digest()))
        self.damaged += frame.damaged or frame.follows_damage
        codec = self.codecs[frame.epoch]
        self.slices.append(hashlib.sha256(coded_slices(payload, codec)).digest())
        if codec != "mjpeg" and frame.join_point == frames_pb2.JOIN_POINT_EXACT:
            before, self._sets = self._sets, bitstream.of(codec).sets_in(bitstream.split(payload))
            self.set_changes += before not in ((), self._sets)


def coded_slices(payload: bytes, codec: str) -> bytes:
    """The coded slices of a canonical payload, joined; a JPEG as it is."""
    if codec == "mjpeg":
        return payload
    syntax = bitstream.of(codec)
    return b"".join(nal for nal in bitstream.split(payload) if syntax.is_picture(nal))


def read_changing(client: SyncBrokerClient, senders: Sources, units: int, changes: int) -> dict[str, Taken]:
    """Subscribes to every camera until there are `units` in all; meanwhile their parameter sets change."""
    found = {camera: Taken() for camera in senders.urls}
    total, changed = 0, 0
    deadline = time.monotonic() + 30 + units / 200
    with client.stream(list(found), subscriber="exactness") as stream:
        for item in stream:
            if isinstance(item, WireFrame):
                found[item.camera].take(item)
                total += 1
            elif isinstance(item, EpochStarted):
                found[item.camera].codecs[item.epoch] = _CODECS[item.codec]
            elif isinstance(item, Gap):
                found[item.camera].gaps.append(frames_pb2.GapReason.Name(item.reason))
            if changed < changes and total >= units * 0.9 * (changed + 1) / (changes + 1):
                senders.change()
                changed += 1
            if total >= units and all(len(one.units) >= units // len(found) // 2 for one in found.values()):
                break
            if time.monotonic() > deadline:
                states = {one.spec.id: (len(found[one.spec.id].units), one.detail) for one in client.list_cameras()}
                raise TimeoutError(f"{total} units came until now; by camera: {states}")
    return found


def differences(one: Iterable[object], other: Iterable[object]) -> int:
    """Places at which two sequences differ; what one of them lacks at its end differs."""
    return sum(a != b for a, b in zip_longest(one, other))


# ---- against the sender


def differs_from_log(log: list[SentUnit], units: list[Unit]) -> tuple[int, int]:
    """Differences of what came from what was sent, and units that were sent while their connection was cut."""
    connection_of = {row.digest: row.connection for row in log}
    # A connection may hold several epochs: one begins when pictures change their size.
    runs = [(n, [u[2] for u in run]) for n, run in groupby(units, key=lambda unit: connection_of.get(unit[2], 0))]
    wrong, cut = 0, 0
    for number, (connection, digests) in enumerate(runs):
        # A camera on a machine that stands still leaves units out; those it did not send are not sent.
        whole = [row.digest for row in log if row.connection == connection and not row.dropped_packets]
        at = whole.index(digests[0]) if digests[0] in whole else 0
        wrong += differences(digests, whole[at : at + len(digests)]) + (at if number else 0)
        cut += len(whole) - at - len(digests) if number < len(runs) - 1 else 0
    return wrong, cut


def left_out(log: list[SentUnit], units: list[Unit]) -> int:
    """Units between those that came, within a connection, that the camera did not send: its host had no time."""
    sent = {row.digest: row for row in log}
    rows = [sent[digest] for *_, digest in units if digest in sent]
    numbers = [[row.number for row in run] for _, run in groupby(rows, key=lambda row: row.connection)]
    return sum(run[-1] - run[0] + 1 - len(run) for run in numbers)


def place_in_film(film: Film, taken: Taken) -> tuple[int, int]:
    """Differences of what came from the film played in a loop, and the film's unit that came first."""
    own = film.units()
    got = [digest for *_, digest in taken.units] if film.whole else taken.slices
    kept = own if film.whole else [coded_slices(unit, film.codec) for unit in own]
    expected = [hashlib.sha256(unit).digest() for unit in kept]
    if got[0] not in expected:
        return len(got), 0
    at = expected.index(got[0])
    return differences(got, (expected[(at + n) % len(own)] for n in range(len(got)))), at


# ---- pictures


def pictures_of(path: Path) -> Iterator[Planes]:
    """What a player shows of a file, one picture at a time."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_type = "NONE"
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(), np.uint8)


def film_pictures(film: Film, at: int, count: int) -> Iterator[Planes]:
    """The pictures of so many units of a looped film, decoded without anything of ours between."""
    decoder: Any = av.CodecContext.create({"h265": "hevc"}.get(film.codec, film.codec), "r")
    decoder.thread_type = "NONE"
    own = film.units()
    for number in range(count + 1):
        packet = av.Packet(own[(at + number) % len(own)]) if number < count else None
        if packet is not None:
            packet.pts = packet.dts = number
        for frame in decoder.decode(packet):
            yield np.asarray(frame.to_ndarray(), np.uint8)


class SceneJudge:
    """Every loop that the simulated cameras coded, by its pictures."""

    def __init__(self, cache: Path) -> None:
        self._loops = [sender_planes(one) for one in map(clip.load, sorted(cache.glob("*.clip")))]

    def differing(self, pictures: Iterable[Planes], rows: list[SentUnit]) -> tuple[int, int]:
        """Pictures that are not the sender's, or not those of these units; and how many pictures there are."""
        # A camera has one loop in each size: those that fit all its pictures of that size until now.
        fitting: dict[tuple[int, ...], list[dict[int, Planes]]] = {}
        shown: Counter[int] = Counter()
        wrong = 0
        for planes in pictures:
            number = counter.read(planes[: planes.shape[0] * 2 // 3])  # 4:2:0: half as many rows of chroma follow
            loops = fitting.get(planes.shape, self._loops)
            left = [loop for loop in loops if number in loop and np.array_equal(loop[number], planes)]
            wrong += not left
            fitting[planes.shape] = left or loops
            shown[number] += 1
        expected = Counter(row.frame_in_loop for row in rows)
        missing, surplus = expected - shown, shown - expected
        return wrong + missing.total() + surplus.total(), shown.total()


# ---- one camera, everything


@dataclass
class Bench:
    """What comparisons need."""

    footage: SyncFootageClient
    senders: Sources
    judge: SceneJudge
    folder: Path

    def compare(self, camera: str, taken: Taken) -> dict[str, Any]:
        """All comparisons of one camera."""
        first, last = (FrameId(camera, *taken.units[at][:2]) for at in (0, -1))
        film = self.senders.films.get(camera)
        log = [] if film else self.senders.simulator.log(camera)
        (sent, cut), at = differs_from_log(log, taken.units), 0
        if film:
            (sent, at), cut = place_in_film(film, taken), 0
        rows = list(self.footage.frames(camera, first, last))
        index = [(r.id.epoch, r.id.seq, r.digest) for r in rows if isinstance(r, footage_pb2.IndexRow)]
        items = list(self._replayed(camera, first, last))
        found: dict[str, Any] = {"export": 0, "pictures": 0}
        counts: Counter[str] = Counter()
        compared = exports = 0
        for codec, run in groupby(taken.units, key=lambda unit: taken.codecs[unit[0]]):
            units = list(run)
            counts[codec] += len(units)
            export = self._export(camera, units)
            digests = [hashlib.sha256(payload).digest() for payload in exported_payloads(export.path)]
            found["export"] += differences(digests[export.lead_in_frames :], (unit[2] for unit in units))
            wrong, pictures = self._pictures(export, units, log, film, at)
            found["pictures"] += wrong
            compared += pictures
            exports += 1
            export.path.unlink()
        return {
            "source": film.told if film else self.senders.kinds[camera].traits,
            "codecs": dict(counts),
            "units": len(taken.units),
            "epochs": len({epoch for epoch, *_ in taken.units}),
            "parameter_set_changes": taken.set_changes,
            "exports": exports,
            "pictures_compared": compared,
            "damaged": taken.damaged,
            "gaps_told": dict(Counter(taken.gaps)),
            "left_out_by_sender": left_out(log, taken.units),
            "sent_into_a_cut": cut,
            "differences": {
                "sent": sent,
                "index": differences(index, taken.units),
                "replay": differences(items, taken.units),
                **found,
            },
        }

    def _replayed(self, camera: str, first: FrameId, last: FrameId) -> Iterator[Unit]:
        for item in self.footage.replay(camera, start=first, end=last):
            if isinstance(item, WireFrame):
                yield item.epoch, item.seq, hashlib.sha256(item.payload).digest()

    def _export(self, camera: str, units: list[Unit]) -> Export:
        ends = [FrameId(camera, *units[at][:2]) for at in (0, -1)]
        return self.footage.export(camera, self.folder / f"{camera}.mp4", start=ends[0], end=ends[1])

    def _pictures(
        self, export: Export, units: list[Unit], log: list[SentUnit], film: Film | None, at: int
    ) -> tuple[int, int]:
        if film is None:
            sent = {row.digest: row for row in log}
            return self.judge.differing(pictures_of(export.path), [sent[unit[2]] for unit in units if unit[2] in sent])
        own = film_pictures(film, at, len(units))
        same = [
            a is not None and b is not None and np.array_equal(a, b)
            for a, b in zip_longest(pictures_of(export.path), own)
        ]
        return same.count(False), len(same)


def measure(folder: Path, units: int, names: tuple[str, ...], seed: int, changes: int) -> dict[str, Any]:
    """One run in an empty folder."""
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        real = None
        if not _missing("rtsp"):
            real = GstreamerServer(server_films(folder))
            real.start()
            stack.callback(real.stop)
        senders = stack.enter_context(sources(folder, names, seed, real))
        instance = stack.enter_context(embedded(folder / "data"))
        client = stack.enter_context(instance.client())
        for camera, url in senders.urls.items():
            kind = senders.kinds.get(camera)
            client.broker.add_camera(camera, url, transport=kind.transport if kind else "auto")
        reading = time.monotonic()
        live = read_changing(client.broker, senders, units, changes)
        read_s = time.monotonic() - reading
        for camera, taken in live.items():
            wait_recorded(client.footage, camera, FrameId(camera, *taken.units[-1][:2]))
        audio = {one.spec.id: one.audio_packets_dropped for one in client.broker.list_cameras()}
        transports = {one.spec.id: one.transport_used for one in client.broker.list_cameras()}
        # Nobody needs more: what is compared is recorded.
        senders.simulator.fault("*", "stop")
        bench = Bench(client.footage, senders, SceneJudge(folder / "cache"), folder)
        cameras = {
            camera: {"transport": transports[camera], "audio_packets": audio[camera], **bench.compare(camera, taken)}
            for camera, taken in live.items()
        }
    by_codec: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for one in cameras.values():
        by_codec.update(one["codecs"])
        wrong.update(one["differences"])
    return {
        "units": by_codec.total(),
        "differences": wrong.total(),
        "differences_by_place": dict(wrong),
        "units_by_codec": dict(by_codec),
        **{
            name: sum(one[name] for one in cameras.values())
            for name in (
                "pictures_compared",
                "exports",
                "parameter_set_changes",
                "epochs",
                "audio_packets",
                "damaged",
                "left_out_by_sender",
            )
        },
        "seed": seed,
        "read_s": round(read_s, 1),
        "whole_s": round(time.monotonic() - started, 1),
        "cameras": cameras,
    }


def commit() -> str:
    """The commit of this tree; empty outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return ""


def main() -> int:
    """Prints the result; 0 if nothing differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--units", type=int, default=UNITS, help="how many units, of all cameras together")
    parser.add_argument("--seed", type=int, default=1, help="of the scenes")
    parser.add_argument("--changes", type=int, default=CHANGES, help="how often parameter sets change")
    parser.add_argument("--few", action="store_true", help="seven simulated cameras in place of sixteen")
    parser.add_argument("--json", action="store_true", help="one JSON object, with every camera")
    arguments = parser.parse_args()
    date = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    with tempfile.TemporaryDirectory(prefix="tf-exact-") as folder:
        names = FEW if arguments.few else tuple(SIMULATED)
        result = measure(Path(folder), arguments.units, names, arguments.seed, arguments.changes)
    result = {"date": date, "commit": commit(), "machine": machine(), **result}
    shown = result if arguments.json else {name: value for name, value in result.items() if name != "cameras"}
    print(json.dumps(shown, indent=1))
    return 1 if result["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
