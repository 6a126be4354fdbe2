"""Pictures of one scene from a camera that moves by exact fractions of a pixel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from detector_pool.canvas import Grey

HEIGHT, WIDTH = 144, 192


@lru_cache(maxsize=8)
def world(seed: int = 1) -> Grey:
    """A large scene of soft-edged patches, of which pictures show a part."""
    rng = np.random.default_rng(seed)
    scene = np.full((HEIGHT + 80, WIDTH + 80), 110.0)
    y, x = np.mgrid[: scene.shape[0], : scene.shape[1]]
    for _ in range(140):
        cy, cx, height, width = rng.uniform((0, 0, 4, 4), (*scene.shape, 40, 40))
        inside = (np.abs(y - cy) < height / 2) & (np.abs(x - cx) < width / 2)
        scene[inside] += rng.uniform(-50, 50)
    spectrum = np.fft.rfft2(scene)
    fy, fx = np.fft.fftfreq(scene.shape[0])[:, None], np.fft.rfftfreq(scene.shape[1])[None]
    return np.fft.irfft2(spectrum * np.exp(-14 * (fx**2 + fy**2)), s=scene.shape).astype(np.float32)


def seen(scene: Grey, dx: float, dy: float, noise: float = 1.5, seed: int = 0) -> Grey:
    """The scene moved by (dx, dy), by its spectrum: exact to any fraction of a pixel."""
    fy, fx = np.fft.fftfreq(scene.shape[0])[:, None], np.fft.rfftfreq(scene.shape[1])[None]
    moved_scene = np.fft.irfft2(np.fft.rfft2(scene) * np.exp(-2j * np.pi * (fx * dx + fy * dy)), s=scene.shape)
    picture = moved_scene[40 : 40 + HEIGHT, 40 : 40 + WIDTH]
    return (picture + np.random.default_rng(seed).normal(0, noise, picture.shape)).astype(np.float32)
