"""Finding a scene again after the camera was bumped. The only place that uses OpenCV.

SIFT features (Lowe 2004) of the reference and of the present picture, matched with Lowe's ratio test, and a homography
from them with RANSAC (Fischler and Bolles 1981). Deterministic: one thread, a seed for each call. 0.1 to 0.6 s at
640 x 360; called a few times after a bump, never for an ordinary picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey
from detector_pool.following.geometry import Matrix

LEAST_INLIERS = 30
LEAST_SHARE = 0.3
_FEATURES = 1500
_RATIO = 0.75
_REACH_PX = 2.5
_SEED = 20_041_104


@dataclass(frozen=True, slots=True)
class Match:
    """A homography and what it rests on."""

    pixels: Matrix
    """Takes pixels of the reference to pixels of the present picture."""
    inliers: int
    share: float
    """Of the matches, those that agree."""


def match(reference: NDArray[np.uint8], present: NDArray[np.uint8]) -> Match | None:
    """How the scene of the reference lies in the present picture; None if too little agrees.

    Both are grey, of the same size. Accepted with at least 30 inliers that are 30 % of the matches.
    """
    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)
    sift = cv2.SIFT.create(nfeatures=_FEATURES, contrastThreshold=0.02)
    points, words = sift.detectAndCompute(reference, None)
    present_points, present_words = sift.detectAndCompute(present, None)
    if words is None or present_words is None or min(len(points), len(present_points)) < LEAST_INLIERS:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(words, present_words, k=2)
    good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < _RATIO * pair[1].distance]
    if len(good) < LEAST_INLIERS:
        return None
    there = np.array([points[one.queryIdx].pt for one in good], np.float32)
    here = np.array([present_points[one.trainIdx].pt for one in good], np.float32)
    cv2.setRNGSeed(_SEED)
    pixels, agrees = cv2.findHomography(there, here, cv2.RANSAC, _REACH_PX, maxIters=2000, confidence=0.999)
    # Without a solution agrees has no inlier, or is missing.
    inliers = int(np.count_nonzero(agrees)) if agrees is not None else 0
    if inliers < LEAST_INLIERS or inliers < LEAST_SHARE * len(good):
        return None
    return Match(np.asarray(pixels, np.float64), inliers, inliers / len(good))


def taken_back(present: Grey, pixels: Matrix) -> tuple[Grey, NDArray[np.bool_]]:
    """The present picture as the reference would show it, and which of its pixels the present picture has."""
    height, width = present.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back = cv2.warpPerspective(present, pixels, (width, height), flags=flags)
    has = cv2.warpPerspective(np.ones_like(present), pixels, (width, height), flags=flags)
    return np.asarray(back, np.float32), np.asarray(has > 0.99, np.bool_)
