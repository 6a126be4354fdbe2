"""How well picture health tells spoilt pictures from healthy ones of any brightness and noise: ROC AUC by fault.

`python -m benchmarks.health --json` → {"auc": {"blur": …, …}, "any_light": {…}, "by_fault": {…}, "misses": […], …}

Every source is a camera: simulated scenes, and clips of ../shared/footage where they are. Each is shown in lights:
gains times sensor noise, and once through H.264. "own": the camera has learnt 15 s of that very light, and healthy
pictures of all cameras in all lights stand against spoilt ones of all cameras in all lights. "any_light": it has learnt
one light, clean and of gain 1, and is shown healthy and spoilt pictures in lights that it has never seen; only faults
that are no change of light themselves can be told so. The score of a picture is the value of the fault's own series.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from detector_pool.evaluation.metrics import roc_auc
from detector_pool.health.detector import DEGREES, Health
from detector_pool.picture import Shot
from mesh.ids import FrameId
from simulator.scene import LAYOUTS, Scene
from simulator.scene.lens import blurred, taken
from simulator.spec import SceneSpec

Luma = NDArray[np.uint8]
FOOTAGE = Path(__file__).parents[2] / "shared" / "footage"
CLIPS = (
    "vtest.avi", "car-detection.mp4", "one-by-one-person-detection.mp4",
    "avenue_partial/training_videos/12.avi", "avenue_partial/training_videos/16.avi",
)  # fmt: skip
GAINS = (0.25, 0.6, 1.0, 1.4)
NOISES = (0.0, 5.0, 15.0)
STEP_NS = 300_000_000
START_NS = 1_700_000_000_000_000_000
LEARNT, HEALTHY, SPOILT, SETTLED = 50, 18, 8, 4
"""Pictures learnt, healthy and spoilt ones shown, and how many of those pass before scores count (a second)."""
ANY_LIGHT = ("blur", "covered", "moved")


@dataclass(frozen=True, slots=True)
class Spoiler:
    """A fault of some strength. What is done to the picture is done before the sensor's noise."""

    fault: str
    name: str
    change: Callable[[Luma], Luma] = lambda picture: picture
    gain: float = 1.0
    noise: tuple[float, float] = (0.0, 0.0)
    """Noise that comes on top: at least so many levels, and so many times the noise of the light."""
    stands: bool = False


def _moved(dx: float, dy: float, degrees: float) -> Callable[[Luma], Luma]:
    def change(picture: Luma) -> Luma:
        height, width = picture.shape
        turn, scale = np.radians(degrees), width / 640
        cos, sin = np.cos(turn), np.sin(turn)
        middle = np.array(((1, 0, width / 2), (0, 1, height / 2), (0, 0, 1)))
        turned = np.array(((cos, -sin, dx * scale), (sin, cos, dy * scale), (0, 0, 1)))
        return taken(picture, np.linalg.inv(middle @ turned @ np.linalg.inv(middle)), width, height)

    return change


def _covered(share: float, textured: bool) -> Callable[[Luma], Luma]:
    def change(picture: Luma) -> Luma:
        height, width = picture.shape
        out = picture.copy()
        before: NDArray[Any] = np.full((height, width), 60, np.uint8)
        if textured:
            cloth = (
                np.random.default_rng(5).standard_normal((height // 4 + 1, width // 4 + 1)).repeat(4, 0).repeat(4, 1)
            )
            before = np.clip(90 + 100 * blurred(cloth, 3.0), 16, 235).astype(np.uint8)[:height, :width]
        out[:, : int(width * share)] = before[:, : int(width * share)]
        return out

    return change


def _blurred(sigma: float) -> Callable[[Luma], Luma]:
    return lambda picture: np.rint(blurred(picture, sigma)).astype(np.uint8)


SPOILERS = (
    Spoiler("blur", "sigma 1 px", _blurred(1.0)),
    Spoiler("blur", "sigma 1.5 px", _blurred(1.5)),
    Spoiler("blur", "sigma 3 px", _blurred(3.0)),
    Spoiler("covered", "plain, 30 %", _covered(0.3, False)),
    Spoiler("covered", "cloth, 50 %", _covered(0.5, True)),
    Spoiler("covered", "plain, all", _covered(1.0, False)),
    Spoiler("moved", "10 px", _moved(9, 4, 0)),
    Spoiler("moved", "40 px, 3 degrees", _moved(38, 13, 3)),
    Spoiler("moved", "turned away", _moved(200, 20, 0)),
    Spoiler("exposure", "half the light", gain=0.5),
    Spoiler("exposure", "1.7 times the light", gain=1.7),
    Spoiler("exposure", "a quarter of the light", gain=0.25),
    Spoiler("noise", "half as much again, at least 4", noise=(4.0, 1.12)),
    Spoiler("noise", "three times, at least 10", noise=(10.0, 2.83)),
    Spoiler("freeze", "the same picture again", stands=True),
)


@dataclass(slots=True)
class Scores:
    """By protocol and fault: scores of healthy pictures, and by spoiler those of spoilt ones; by camera too."""

    healthy: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    spoilt: dict[str, dict[str, dict[str, list[float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    )
    cameras: dict[str, Scores] = field(default_factory=dict)


class Camera:
    """A source of pictures that is seen in a light. `has_clock`: it burns its clock in, behind lens and sensor."""

    def __init__(self, name: str, film: list[Luma], has_clock: bool = False) -> None:
        self.name = name
        self.film = film
        self._has_clock = has_clock
        rng = np.random.default_rng(len(film[0]))
        self._grain = rng.standard_normal(3 * film[0].size, np.float32)
        self._rng = rng
        self._signs = rng.integers(0, 2, (7, 19, 5), np.uint8)
        self._spoilt: dict[str, list[Luma]] = {}

    def spoilt(self, spoiler: Spoiler, at: int, count: int) -> list[Luma]:
        """Some pictures with what is done to them before light and noise."""
        key = f"{spoiler.fault} {spoiler.name}"
        if key not in self._spoilt:
            self._spoilt[key] = [spoiler.change(self.film[(at + k) % len(self.film)]) for k in range(count)]
        return self._spoilt[key]

    def shown(self, at: int, gain: float, noise: float) -> Luma:
        """A healthy picture in a light."""
        return self.lit(self.film[at % len(self.film)], gain, noise)

    def lit(self, picture: Luma, gain: float, noise: float) -> Luma:
        """A picture in a light, with fresh noise."""
        seen = (picture.astype(np.float32) - 16) * np.float32(gain) + 16
        if noise > 0.0:
            at = int(self._rng.integers(self._grain.size - picture.size))
            seen += self._grain[at : at + picture.size].reshape(picture.shape) * np.float32(noise)
        lit: Luma = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
        if self._has_clock:
            # Nineteen signs of 5x7 dots, white on black; the last ones change with every picture.
            signs = self._signs.copy()
            signs[:, -3:] = self._rng.integers(0, 2, signs[:, -3:].shape)
            dots = signs.reshape(7, -1).repeat(2, 0).repeat(2, 1)
            lit[8 : 8 + dots.shape[0], 8 : 8 + dots.shape[1]] = 16 + 219 * dots
        return lit


def spoilt(camera: Camera, spoiler: Spoiler, at: int, gain: float, noise: float) -> list[Luma]:
    """Some pictures with a fault, in a light. It takes longer to see that a picture stands still."""
    count = SPOILT + (12 if spoiler.stands else 0)
    extra = max(spoiler.noise[0], spoiler.noise[1] * noise) if spoiler.noise[0] else 0.0
    if spoiler.stands:
        return [camera.shown(at, gain, noise)] * count
    level = float(np.hypot(noise, extra))
    return [camera.lit(one, gain * spoiler.gain, level) for one in camera.spoilt(spoiler, at, count)]


def coded(pictures: list[Luma]) -> list[Luma]:
    """Through H.264 and back, as cameras send them: constant quality, a key picture every two seconds."""
    height, width = (side - side % 2 for side in pictures[0].shape)
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "gray"
    encoder.time_base = Fraction(1, 10)
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "25", "g": "20"}
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    out = []
    for picture in [*pictures, None]:
        frame = None
        if picture is not None:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="gray")
        for packet in encoder.encode(frame):
            out += [one.to_ndarray(format="gray") for one in decoder.decode(packet)]
    return out + [one.to_ndarray(format="gray") for one in decoder.decode(None)]


def series(
    detector: Health, state: bytes | None, pictures: list[Luma], at: int
) -> tuple[list[dict[str, float]], bytes]:
    """What the detector says of each picture, from a packed state on; and its state behind them."""
    memory = detector.unpack(state) if state else detector.start()
    said = []
    for number, picture in enumerate(pictures, at):
        shot = Shot(FrameId("benchmark", 1, number), START_NS + number * STEP_NS, picture)
        observation, memory = detector.inspect(shot, memory, [])
        said.append(dict(observation.series))
    return said, detector.pack(memory)


def look(camera: Camera, into: Scores, lights: list[tuple[float, float, bool]]) -> None:
    """All faults in all lights, with both protocols."""
    mine = into.cameras[camera.name] = Scores()
    detector = Health(every_s=0.0)
    _, clean = series(detector, None, [camera.shown(k, 1.0, 0.0) for k in range(LEARNT)], 0)
    for gain, noise, is_coded in lights:
        through = coded if is_coded else list
        learnt = [camera.shown(k, gain, noise) for k in range(LEARNT)]
        healthy = [camera.shown(LEARNT + k, gain, noise) for k in range(HEALTHY)]
        if is_coded:
            both = coded([*learnt, *healthy])
            learnt, healthy = both[:LEARNT], both[LEARNT:]
        _, own = series(detector, None, learnt, 0)
        shows = {spoiler: through(spoilt(camera, spoiler, LEARNT + 4, gain, noise)) for spoiler in SPOILERS}
        for protocol, state in (("own", own), ("any_light", clean)):
            said, _ = series(detector, state, healthy, LEARNT)
            for fault in DEGREES:
                values = [one[fault] for one in said[SETTLED:]]
                for where in (into, mine):
                    where.healthy[protocol][fault] += values
            for spoiler, pictures in shows.items():
                if protocol == "any_light" and spoiler.fault not in ANY_LIGHT:
                    continue
                said, _ = series(detector, state, pictures, LEARNT)
                values = [one[spoiler.fault] for one in said[-(SPOILT - SETTLED) :]]
                for where in (into, mine):
                    where.spoilt[protocol][spoiler.fault][spoiler.name] += values


def cameras(seed: int, layouts: tuple[str, ...], footage: Path) -> Iterator[Camera]:
    """Simulated scenes, and clips where they are."""
    count = LEARNT + HEALTHY + 40
    for layout in layouts:
        scene = Scene(SceneSpec(layout, seed, incidents=()))
        film = [scene.picture(3 * k)[:360] for k in range(count)]
        yield Camera(layout, film)
        yield Camera(f"{layout} with a clock", film, has_clock=True)
    for name in CLIPS:
        if (footage / name).is_file():
            yield Camera(name, clip(footage / name, count))


def clip(path: Path, count: int) -> list[Luma]:
    """Luma of pictures about 0.3 s apart."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        step = max(1, round(0.3 * float(stream.average_rate or 10)))
        found = []
        for number, frame in enumerate(file.decode(stream)):
            if number % step == 0:
                found.append(frame.to_ndarray(format="gray").astype(np.uint8, copy=False))
            if len(found) == count:
                break
    return found


def auc(scores: Scores, protocol: str, fault: str, name: str = "") -> float:
    """Area under the ROC curve in percent."""
    spoilt_ones = [v for key, values in scores.spoilt[protocol][fault].items() if name in ("", key) for v in values]
    healthy = scores.healthy[protocol][fault]
    labels = np.array([False] * len(healthy) + [True] * len(spoilt_ones))
    area = roc_auc(np.array([*healthy, *spoilt_ones]), labels)
    assert area is not None
    return round(100 * area, 2)


def cost_ms(width: int, height: int) -> float:
    """Median time of measuring one picture of this size, in milliseconds."""
    scene = Scene(SceneSpec("street", 1, width, height, incidents=()))
    film = [scene.picture(k)[:height] for k in range(3)]
    detector, times = Health(every_s=0.0), []
    state = detector.start()
    for number in range(60):
        shot = Shot(FrameId("benchmark", 1, number), START_NS + number * STEP_NS, film[number % 3])
        before = time.process_time()
        _, state = detector.inspect(shot, state, [])
        times.append(time.process_time() - before)
    return round(1000 * float(np.median(times[10:])), 2)


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    parser.add_argument("--footage", type=Path, default=FOOTAGE)
    parser.add_argument("--quick", action="store_true", help="three lights of thirteen")
    options = parser.parse_args()
    lights = [(gain, noise, False) for gain in GAINS for noise in NOISES] + [(1.0, 0.0, True)]
    if options.quick:
        lights = [(0.25, 5.0, False), (1.0, 0.0, False), (1.0, 0.0, True)]
    scores = Scores()
    for camera in cameras(options.seed, tuple(filter(None, options.layouts.split(","))), options.footage):
        look(camera, scores, lights)
    found: dict[str, Any] = {
        "auc": {fault: auc(scores, "own", fault) for fault in DEGREES},
        "any_light": {fault: auc(scores, "any_light", fault) for fault in ANY_LIGHT},
        "by_fault": {f"{s.fault}: {s.name}": auc(scores, "own", s.fault, s.name) for s in SPOILERS},
        "any_light_by_fault": {
            f"{s.fault}: {s.name}": auc(scores, "any_light", s.fault, s.name) for s in SPOILERS if s.fault in ANY_LIGHT
        },
        "misses": [
            f"{name} {protocol} {fault}: {value}"
            for name, mine in scores.cameras.items()
            for protocol, faults in (("own", DEGREES), ("any_light", ANY_LIGHT))
            for fault in faults
            if (value := auc(mine, protocol, fault)) < 95
        ],
        "cameras": list(scores.cameras),
        "lights": len(lights),
        "pictures": sum(map(len, scores.healthy["own"].values())),
        "ms_640x360": cost_ms(640, 360),
        "ms_1920x1080": cost_ms(1920, 1080),
    }
    if options.json:
        print(json.dumps(found))
        return
    for key, value in found.items():
        print(f"{key}:", *(f"\n  {k:40} {v}" for k, v in value.items()) if isinstance(value, dict) else [value])


if __name__ == "__main__":
    main()
