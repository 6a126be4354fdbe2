"""An inspection over recorded pictures: which models it takes, and what becomes of a detector that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from aggregate.client import Inspection
from detector_pool.looking import Look, made_for, models_of, moved_to
from detector_pool.reasons import NoScore
from detector_pool.wire import task_from_proto
from mesh.errors import InvalidArgument
from tests.tiny_models import TINY_TOML, bright_finder, model_of, shot
from trueframe.v1.inspection_pb2 import Assignment

RULES = 'rules = \'lit: "bright" in "yard"\'\nsources = ["objects@tiny", "static"]\n'


def inspection(detector: str, options: str = "", model: str = "") -> Inspection:
    return Inspection(id=f"gate.{detector}", camera="gate", detector=detector, options=options, model=model)


def test_an_inspection_takes_its_own_model_and_those_that_its_options_name() -> None:
    assert models_of(inspection("motion")) == ()
    assert models_of(inspection("objects")) == ("gate.objects",)
    assert models_of(inspection("objects", model="yolox-nano")) == ("yolox-nano",)
    assert models_of(inspection("rules", RULES)) == ("tiny",)
    with pytest.raises(InvalidArgument, match=r"detector 'magic': is not known here. There are: clip, health"):
        models_of(inspection("magic"))


def test_for_another_camera_it_keeps_the_model_that_it_has_where_it_is() -> None:
    moved = moved_to(inspection("objects"), "film")
    assert (moved.id, moved.camera, moved.model) == ("film.objects", "film", "gate.objects")
    assert moved_to(inspection("motion"), "film").model == ""


def test_its_detector_is_made_with_these_models_and_another_ones_is_refused(tmp_path: Path) -> None:
    tiny = model_of(tmp_path / "tiny", TINY_TOML, bright_finder())
    short = tiny.digest[:12]
    assert made_for(inspection("objects"), [tiny]).name == f"objects@1:{short}"
    assert made_for(inspection("rules", RULES), [tiny]).name == f"rules@1:{short}"
    with pytest.raises(InvalidArgument, match=r"is for detector objects, and gate\.clip is of clip"):
        made_for(inspection("clip"), [tiny])
    with pytest.raises(InvalidArgument, match="objects@tiny needs a model"):
        made_for(inspection("rules", RULES))


def test_a_picture_on_which_it_fails_is_told_and_the_others_are_looked_at(tmp_path: Path) -> None:
    tiny = model_of(tmp_path / "tiny", TINY_TOML, bright_finder())
    # Of a rule whose zone is not drawn.
    order = inspection("rules", RULES.replace(', "static"', ""))
    look = Look(task_from_proto(Assignment(inspection=order)), made_for(order, [tiny]))
    assert look.look(shot(0)).reason is NoScore.DETECTOR_FAILED
    order.regions.add(name="yard", use=1, corners=[{"x": x, "y": y} for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))])
    order.fixed_regions = True
    look = Look(task_from_proto(Assignment(inspection=order)), made_for(order, [tiny]))
    said = [look.look(shot(index, [(6, 3)])) for index in range(30)]
    assert any("lit" in one.said for one in said)
