"""Random faults on one of twenty cameras of every kind, for as long as asked: nobody else may notice.

`python -m benchmarks.faults --minutes 30 --seed 4 --json` → {"differences": 0, "faults": {…}, "judged_units": …, …}.

Twenty simulated cameras (`KINDS`) through the shipped broker, one fault after another on a camera drawn by lot. Four
subscribers of all cameras: lossless, latest, key frames at most one a second, and one that is lossless and slow. In the
end every difference counts, and there shall be none:

    lost            units of a camera that was well at the time and that the lossless subscriber did not get whole
    twice, invented frames that came twice, or passed as whole and were never sent
    disordered      frames that came behind one that was sent later
    accounts        places where captured = delivered + not delivered by reason does not hold, or the broker's counters
                    and what the subscriber was told differ
    not_recovered   cameras that did not come back

A camera counts as ill from a fault until two seconds behind the first whole frame after it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmarks.accounts import Disturbance, Subscriber, Verdict, verdict
from benchmarks.harness import Instance, Simulation, instance, machine
from broker.client import Subscription, SyncBrokerClient
from simulator.faults import KINDS as FAULTS
from simulator.faults import MOMENTS
from simulator.log import SentUnit, path_of
from simulator.log import read as read_log

KINDS = (
    "other=size:320x192",
    "codec=h265,bframes=2,other=codec:h264",
    "codec=mjpeg,other=size:320x192",
    "transport=udp",
    "transport=udp,codec=h265,aggregate,mtu=300",
    "transport=udp,codec=mjpeg,restart=8",
    "codec=mjpeg,scheme=http,other=size:320x192",
    "codec=mjpeg,scheme=https,sloppy=no-length,boundary=odd",
    "scheme=rtsps,codec=h265",
    "bframes=2,sets=sdp",
    "audio=aac",
    "codec=h265,audio=pcmu,sets=sdp",
    "sloppy=junk+junk-bytes",
    "sloppy=base-path+no-cseq+case",
    "keepalive=options,timeout_s=10",
    "keepalive=get_parameter,timeout_s=10,auth=digest-stale",
    "redirect=port,auth=basic",
    "onvif=yes,clock_offset_s=2,drift_ppm=80",
    "gop_s=5,claims_fps=60",
    "pad_bytes=20000,mtu=500",
)
"""One of every kind: codecs, ways to come, logins and manners."""
LOGIN = ("anna", "s3cret")
FPS = 10
MARGIN_NS = 2_000_000_000
_SLOW_NAPS, _LATEST_NAPS = (2.0, 15.0), (2.0, 8.0)
# Short enough that nobody is declared silent, and that a run of two minutes holds many.
_FAULT_S, _PAUSE_S = (0.2, 3.0), (0.1, 1.0)


@dataclass(slots=True)
class Stage:
    """Cameras, broker and subscribers of a run."""

    cameras: Simulation
    client: SyncBrokerClient
    subscribers: list[Subscriber]
    disturbances: dict[str, list[Disturbance]] = field(default_factory=lambda: defaultdict(list))
    faults: Counter[str] = field(default_factory=Counter)
    story: list[tuple[str, str, int, dict[str, float]]] = field(default_factory=list)
    """What was done to whom, and when."""

    @property
    def lossless(self) -> Subscriber:
        """The subscriber that keeps every frame."""
        return self.subscribers[0]

    def tell(self, **request: object) -> None:
        """Asks the simulator's control port. Raises RuntimeError when it refuses."""
        with socket.create_connection(("127.0.0.1", self.cameras.control_port), timeout=10) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
        if not answer["ok"]:
            raise RuntimeError(answer["error"])

    def disturb(self, camera: str, kind: str, seconds: float, **parameters: float) -> None:
        """Gives a camera a fault for so long, and remembers when."""
        from_ns = time.monotonic_ns()
        self.tell(camera=camera, fault=kind, **parameters)
        time.sleep(seconds)
        if kind not in MOMENTS:
            self.tell(camera=camera, fault="none")
        self.disturbances[camera].append(Disturbance(from_ns, time.monotonic_ns()))
        self.faults[kind] += 1
        self.story.append((camera, kind, from_ns, parameters))

    def log(self, camera: str) -> list[SentUnit]:
        """What a camera sent."""
        return read_log(path_of(self.cameras.log_dir, camera))

    def frames(self, camera: str) -> int:
        """How many frames of a camera the lossless subscriber has."""
        return self.lossless.accounts[camera].frames

    def wait_for_all(self, timeout_s: float = 60.0) -> None:
        """Returns when every camera has sent for longer than it may count as ill behind a fault, or after the time."""
        counts = {camera: self.frames(camera) for camera in self.cameras.urls}
        enough = FPS * (MARGIN_NS / 1e9 + 1)
        _until(lambda: all(self.frames(camera) > n + enough for camera, n in counts.items()), timeout_s)

    def settle(self) -> list[str]:
        """Stops all cameras, lets every subscriber catch up; returns where their accounts and the broker's disagree."""
        self.tell(camera="*", fault="stall")
        for subscriber in self.subscribers:
            subscriber.is_hurried = True
        time.sleep(0.5)
        for camera in self.client.list_cameras():
            camera.spec.disabled = True
            camera.spec.source = ""
            self.client.update_camera(camera.spec)
        _until(self._are_level, 60.0)
        rows = self._rows()
        found = [f"{one.name}: {one.error}" for one in self.subscribers if one.error]
        for subscriber in self.subscribers:
            found += subscriber.disagreements(rows[subscriber.name])
        minted = {camera.spec.id: camera.frames for camera in self.client.list_cameras()}
        for counters in rows[self.lossless.name].counters:
            if counters.captured != minted[counters.camera]:
                found.append(f"{counters.camera}: minted {minted[counters.camera]}, captured {counters.captured}")
        return found

    def _rows(self) -> dict[str, Subscription]:
        return {row.subscriber: row for row in self.client.list_subscriptions()}

    def _are_level(self) -> bool:
        rows = self._rows()
        return all(one.is_level_with(rows[one.name]) for one in self.subscribers if one.name in rows)

    def verdicts(self) -> dict[str, Verdict]:
        """What the lossless subscriber made of every camera."""
        found = {}
        for camera in self.cameras.urls:
            log = self.log(camera)
            # A corrupted unit passes as whole: RTP has no checksum. Those are the ones of which packets were hit.
            hit = sum(unit.dropped_packets > 0 for unit in log)
            seen = list(self.lossless.accounts[camera].seen)
            ill = self.disturbances.get(camera, [])
            found[camera] = verdict(log, seen, ill, corrupted=hit if ill else 0, margin_ns=MARGIN_NS if ill else 0)
        return found


def _until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def stage(kinds: tuple[str, ...] = KINDS) -> Iterator[Stage]:
    """Everything started: cameras live, four subscribers reading."""
    with instance() as made, ExitStack() as stack:
        cameras = _cameras(made, kinds)
        made.configure({}, broker={"ring_seconds": 5.0, "min_ring_seconds": 0.0})
        endpoint = made.endpoint("broker")
        made.wait_for_socket(endpoint, made.start_service("broker"))
        client = stack.enter_context(SyncBrokerClient(endpoint, made.token))
        subscribers = [
            Subscriber(client, "lossless", keep=True),
            Subscriber(client, "latest", "latest", naps=_LATEST_NAPS, max_pending_items=10),
            Subscriber(client, "keyframes", "keyframes", max_rate=1.0),
            Subscriber(client, "slow", naps=_SLOW_NAPS),
        ]
        for subscriber in subscribers:
            subscriber.start()
        _until(lambda: len(client.list_subscriptions()) == len(subscribers), 30.0)
        fingerprint = _fingerprint(cameras)
        for camera, url in cameras.urls.items():
            scheme, _, rest = url.partition("://")
            kind = kinds[int(camera.removeprefix("cam-")) - 1]
            client.add_camera(
                camera,
                f"{scheme}://{':'.join(LOGIN)}@{rest}",
                transport="udp" if "transport=udp" in kind else "auto",
                tls_sha256=fingerprint if scheme in ("rtsps", "https") else "",
            )
        set_up = Stage(cameras, client, subscribers)
        if not _until(lambda: all(set_up.frames(camera) > 5 for camera in cameras.urls), 90.0):
            quiet = [camera for camera in cameras.urls if set_up.frames(camera) <= 5]
            raise RuntimeError(f"no frames come from {', '.join(quiet)}")
        yield set_up


def _cameras(made: Instance, kinds: tuple[str, ...]) -> Simulation:
    # Units are padded so that what waits for a slow subscriber outgrows the buffers between it and the broker.
    small = ["--size", "160x96", "--fps", str(FPS), "--loop-s", "10", "--gop-s", "1", "--pad-bytes", "8000"]
    traits = [one for number, kind in enumerate(kinds, 1) for one in ("--trait", f"cam-{number}:{kind}")]
    return made.start_cameras(
        "--cameras", str(len(kinds)), "--scenes", "yard", *small, "--auth", ":".join(LOGIN), *traits
    )


def _fingerprint(cameras: Simulation) -> str:
    """SHA-256 of the certificate that the simulator made."""
    import hashlib
    import ssl

    path = cameras.log_dir / "certificate.pem"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).hexdigest() if path.exists() else ""


def parameters_of(kind: str, dice: random.Random) -> dict[str, float]:
    """What a fault is given besides its name."""
    found: dict[str, float] = {"seed": dice.randrange(1 << 30), "share": dice.choice((0.01, 0.1, 0.3))}
    if kind == "jump":
        found["by_s"] = dice.choice((-3600.0, -1.0, 0.2, 30.0, 40_000.0))
    elif kind == "clock-jump":
        found["by_s"] = dice.choice((-86_400.0, -2.0, 5.0, 1e6))
    elif kind == "burst":
        found["by_s"] = dice.uniform(0.2, 2.0)
    elif kind == "delay":
        found["by_s"] = dice.uniform(0.02, 0.5)
    return found


def fits(kind: str, traits: str) -> bool:
    """Whether a camera of these traits can act the fault out."""
    return kind not in ("none", "resize", "recode") or (
        (kind == "resize" and "other=size" in traits) or (kind == "recode" and "other=codec" in traits)
    )


def act(made: Stage, seconds: float, seed: int) -> None:
    """One fault after another on cameras drawn by lot, for so long."""
    dice = random.Random(seed)
    ends_s = time.monotonic() + seconds
    kinds = [kind for kind in FAULTS if kind != "none"]
    while time.monotonic() < ends_s:
        # Every kind is as likely as any other, though few cameras can change their size or codec.
        kind = dice.choice(kinds)
        camera = dice.choice(
            [name for name, traits in zip(made.cameras.urls, KINDS, strict=True) if fits(kind, traits)]
        )
        made.disturb(camera, kind, dice.uniform(*_FAULT_S), **parameters_of(kind, dice))
        time.sleep(dice.uniform(*_PAUSE_S))


def run(seconds: float, seed: int) -> dict[str, Any]:
    """Sets the stage, acts, settles; the result as it is printed."""
    began = datetime.now(UTC)
    with stage() as made:
        act(made, seconds, seed)
        made.wait_for_all()
        accounts = made.settle()
        verdicts = made.verdicts()
        totals: Counter[str] = Counter()
        for subscriber in made.subscribers:
            for account in subscriber.accounts.values():
                totals[f"{subscriber.name} delivered"] += account.frames
                for reason, count in account.known.items():
                    totals[f"{subscriber.name} {reason.lower()}"] += count
                for reason, count in account.unknown.items():
                    totals[f"{subscriber.name} {reason.lower()} (unknown count)"] += count
    lost = {camera: one.lost for camera, one in verdicts.items() if one.lost}
    twice = sum(one.twice for one in verdicts.values())
    disordered = sum(one.disordered for one in verdicts.values())
    invented = {camera: one.invented for camera, one in verdicts.items() if one.invented}
    not_recovered = [camera for camera, one in verdicts.items() if not one.is_recovered]
    return {
        "differences": sum(map(len, [*lost.values(), *invented.values(), accounts, not_recovered]))
        + twice
        + disordered,
        "lost": lost,
        "twice": twice,
        "disordered": disordered,
        "invented": invented,
        "accounts": accounts[:20],
        "not_recovered": not_recovered,
        "minutes": round(seconds / 60, 2),
        "seed": seed,
        "cameras": len(KINDS),
        "faults": dict(sorted(made.faults.items())),
        "faults_total": made.faults.total(),
        "sent_units": sum(one.sent for one in verdicts.values()),
        "judged_units": sum(one.judged for one in verdicts.values()),
        "subscribers": dict(sorted(totals.items())),
        "date": began.isoformat(timespec="seconds"),
        **machine(),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    parser.add_argument("--json", action="store_true", help="one line of JSON and nothing else")
    options = parser.parse_args()
    result = run(options.minutes * 60, options.seed)
    sys.stdout.write(json.dumps(result, indent=None if options.json else 2) + "\n")
    raise SystemExit(1 if result["differences"] else 0)


if __name__ == "__main__":
    main()
