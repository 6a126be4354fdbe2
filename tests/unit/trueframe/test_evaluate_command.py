"""`trueframe evaluate` on small clips: table, JSON, plot, scores, and errors that help."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mesh.errors import InvalidArgument
from trueframe.commands.evaluate import command


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """Two clips at 10 fps in which a bright thing crosses after four seconds."""
    random = np.random.default_rng(5)
    still = random.integers(60, 90, (90, 160)).astype(np.uint8)
    for name, begins in (("a", 40), ("b", 45)):
        folder = tmp_path / "test" / name
        folder.mkdir(parents=True)
        for number in range(60):
            picture = still.copy()
            if number >= begins:
                left = 4 * (number - begins)
                picture[30:70, left : left + 20] = 230
            Image.fromarray(picture).save(folder / f"{number:03d}.png")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{name}.csv").write_text("".join(f"{int(n >= begins)}\n" for n in range(60)))
    return tmp_path


def run(*words: object) -> str:
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_json_has_areas_as_fractions_and_says_how_it_was_run(benchmark: Path) -> None:
    found = json.loads(run(benchmark, "--detector", "motion", "--json", "--shake", "0.3", "--seed", "4"))
    assert found["micro_auc"] > 0.9
    assert found["macro_auc"] > 0.9
    assert (found["macro_clips"], found["frames"], found["abnormal_frames"]) == (2, 120, 35)
    assert (found["shake_px"], found["seed"], found["detector"]) == (0.3, 4, "motion@1")
    assert [row["false_alarms_per_hour"] for row in found["rates"]] == [0.1, 1.0, 6.0]
    assert found["position_auc"] > 0.9
    assert any("position" in warning for warning in found["warnings"])
    assert found["frames_per_second"] > 0
    assert found["rbdc"] is None


def test_the_table_names_each_clip_and_plot_and_scores_are_written(benchmark: Path, tmp_path: Path) -> None:
    plot, scores = tmp_path / "plot.png", tmp_path / "scores.csv"
    output = run(benchmark, "--detector", "motion", "--plot", plot, "--scores", scores)
    assert "ROC AUC micro" in output
    assert "2 of 2" in output
    with Image.open(io.BytesIO(plot.read_bytes())) as image:
        assert image.format == "PNG"
        assert image.width == 1200
    lines = scores.read_text().splitlines()
    assert lines[0] == "clip,frame,label,score"
    assert len(lines) == 121
    assert lines[1].startswith("a,0,0,")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--detector", "nonesuch"), "There are: motion"),
        (("--detector", "motion", "--option", "loud"), "NAME=VALUE"),
        (("--detector", "motion", "--option", "loud=1"), "no option 'loud'"),
        (("--detector", "motion", "--plot", "/nowhere/a.png"), "no folder /nowhere"),
    ],
)
def test_what_cannot_be_run_is_told_with_a_remedy(benchmark: Path, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        run(benchmark, *words)


def test_a_model_of_another_detector_is_refused(benchmark: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "detector.toml").write_text('detector = "objects"\nname = "some"\n')
    with pytest.raises(InvalidArgument, match="is for detector objects"):
        run(benchmark, "--detector", "motion", "--model", model)
