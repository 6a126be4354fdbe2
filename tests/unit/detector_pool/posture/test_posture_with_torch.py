"""Posture trained where torch is installed: from pictures to a model, and what that says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from detector_pool.canvas import RegionMask
from detector_pool.detector import Setup
from detector_pool.models import ModelFiles, check_model, open_files
from detector_pool.normality.runtime import Session
from detector_pool.posture.detector import Posture
from detector_pool.posture.graph import posture_graph
from detector_pool.posture.pace import STEPS
from detector_pool.posture.people import ROWS
from detector_pool.training import posture_network
from detector_pool.training.posture import train_posture
from detector_pool.training.posture_model import TrainedPosture
from mesh.errors import InvalidArgument
from tests.bodies import ODD, lit, swinging_pose, walks

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'trueframe[train]'")

MINUTE = 600
ROUNDS = 80


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return swinging_pose(tmp_path_factory.mktemp("pose"))


@pytest.fixture(scope="module")
def trained(pose: ModelFiles) -> TrainedPosture:
    return train_posture(walks(MINUTE), camera="Gate 1", pose=pose, rounds=ROUNDS)


@pytest.fixture(scope="module")
def model(trained: TrainedPosture, tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    folder = tmp_path_factory.mktemp("trained") / "model"
    trained.write(folder)
    return open_files(folder)


def test_swinging_is_ordinary_afterwards_and_arms_that_stay_up_are_not(model: ModelFiles) -> None:
    detector = Posture(Setup("gate", {}, model))
    state, ordinary, odd = detector.start(), [], []
    for one in walks(90):
        said, state = detector.inspect(one, state, ())
        ordinary.append(said.score)
    for index in range(30):
        said, state = detector.inspect(lit(90 + index, ODD), state, ())
        odd.append(said)
    assert np.mean(ordinary) < 0.3
    assert odd[-1].score > 0.9
    assert odd[-1].boxes[0].said == "the arms move as nobody's did here"


def test_the_model_passes_its_golden_frames_and_its_card_says_what_it_rests_on(model: ModelFiles) -> None:
    checked = check_model(model)
    assert (checked.golden.frames, checked.golden.is_exact) == (12, True)
    assert (model.name, model.detector) == ("gate-1.posture", "posture")
    card = json.loads(model.read("card.json"))
    assert card["pose_model"]["name"] == "poses"
    assert card["people"] == 1
    assert card["is_provisional"]
    assert card["left_out"]
    assert "provisional" in card["trained_on"]


def test_the_graph_tells_what_the_network_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, weights_of = [], posture_network._weights
    monkeypatch.setattr(posture_network, "_weights", lambda net: nets.append(net) or weights_of(net))
    rng = np.random.default_rng(1)
    places = rng.normal(0, 0.4, (STEPS, 200, 36)).astype(np.float32)
    seen = (rng.random((STEPS, 200, 18)) < 0.8).astype(np.float32)
    weights = posture_network.fitted(lambda at: (places[:, at], seen[:, at]), np.arange(200), 3, lambda: None, 30)
    places, seen = places[:, :ROWS], seen[:, :ROWS]
    scaled = posture_network._scaled(places, seen, (weights["mean"], weights["deviation"]))
    with torch.no_grad():
        told = posture_network._told(torch, nets[0], torch.from_numpy(scaled), torch.from_numpy(seen)).numpy()
    off = (told - scaled) * np.repeat(seen, 2, axis=2)
    error = np.sqrt((off**2).sum(axis=(0, 2)) / 2 / seen.sum(axis=(0, 2)))
    out = Session(posture_graph(weights), "graph").run(
        {
            "window": np.concatenate([places[:1], places[:-1]]),
            "window_seen": np.concatenate([seen[:1], seen[:-1]]),
            "pose": places[-1],
            "pose_seen": seen[-1],
        }
    )
    assert out["error"] == pytest.approx(error, abs=1e-5)
    assert np.ptp(error) > 0.05


def test_equal_footage_and_seed_give_equal_models_to_the_bit(
    trained: TrainedPosture, pose: ModelFiles, tmp_path: Path
) -> None:
    again = train_posture(walks(MINUTE), camera="Gate 1", pose=pose, rounds=ROUNDS)
    other = train_posture(walks(MINUTE), camera="Gate 1", pose=pose, rounds=ROUNDS, seed=1)
    for number, one in enumerate((trained, again, other)):
        one.write(tmp_path / str(number))
    digests = [open_files(tmp_path / str(number)).digest for number in range(3)]
    assert digests[0] == digests[1] != digests[2]


def test_people_elsewhere_are_not_learnt_from(pose: ModelFiles) -> None:
    left = RegionMask(False, ((0, 0), (0.3, 0), (0.3, 1), (0, 1)))
    with pytest.raises(InvalidArgument, match="followed for 0 s"):
        train_posture(walks(50), camera="gate", pose=pose, regions=(left,))
