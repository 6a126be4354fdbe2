from __future__ import annotations

from pathlib import Path

import pytest

from detector_pool.training import TrainedModel, train_normality
from tests.normal_traffic import FPS, traffic


@pytest.fixture(scope="session")
def trained() -> TrainedModel:
    """Learnt from seventy seconds of ordinary traffic."""
    return train_normality(traffic(70, seed=1), camera="yard", fps=FPS)


@pytest.fixture(scope="session")
def model_folder(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, written."""
    folder: Path = tmp_path_factory.mktemp("normality") / "model"
    trained.write(folder)
    return folder
