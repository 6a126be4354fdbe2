"""What inspections meet on a live system: hours, detectors that fail, several models, too much to do, a bump."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregate.client import Inspection, RolloutStep, SyncInspectionClient, SyncLedgerClient, SyncModelClient
from detector_pool.models import ModelFiles
from event_center.client import Event
from simulator.testing import Simulator, running
from tests.inspection_stack import InspectionStack, inspection_stack
from tests.support import until
from tests.tiny_models import TINY_TOML, bright_finder, model_of
from trueframe.v1 import inspection_pb2

YARD = inspection_pb2.Region(
    name="yard",
    use=inspection_pb2.REGION_USE_INSPECT,
    corners=[inspection_pb2.Point(x=x, y=y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))],
)


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with running(1, fps=10) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def stack(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InspectionStack]:
    with inspection_stack(tmp_path_factory.mktemp("troubles")) as stack:
        with stack.broker.sync_client() as client:
            client.add_camera("cam-1", sim.urls["cam-1"])
        with stack.inspections() as inspections:
            until(lambda: status(inspections, "cam-1.motion").frames_scored > 0, 60, "frames are scored")
        yield stack


def status(client: SyncInspectionClient, name: str) -> inspection_pb2.InspectionStatus:
    """An empty one while there is none."""
    found = [one for one in client.list() if one.inspection.id == name]
    return found[0] if found else inspection_pb2.InspectionStatus()


def alarms(stack: InspectionStack, condition: str) -> list[Event]:
    with stack.events() as client:
        return [event for event in client.list(limit=200) if event.detector == f"aggregate.{condition}"]


def test_outside_its_hours_an_inspection_rests_and_the_ledger_says_so(stack: InspectionStack) -> None:
    with stack.inspections() as client, SyncLedgerClient(stack.config.aggregate.endpoint, stack.broker.token) as ledger:
        began_ns = time.time_ns()
        motion = status(client, "cam-1.motion").inspection
        # A day of the week that is far from today in any zone.
        other = (time.gmtime().tm_wday + 3) % 7 + 1
        motion.schedule.add(days=[other], from_minute=0, to_minute=60)
        assert client.put(motion).resting
        until(lambda: status(client, "cam-1.motion").worker == "", 10, "its worker has put it down")
        (row,) = [
            one
            for one in ledger.coverage("cam-1", from_ns=began_ns, to_ns=time.time_ns())
            if one.inspection == "cam-1.motion"
        ]
        assert [rest.why for rest in row.rests] == ["outside its schedule"]
        scored = status(client, "cam-1.motion").frames_scored
        del motion.schedule[:]
        assert not client.put(motion).resting
        until(lambda: status(client, "cam-1.motion").frames_scored > scored + 5, 20, "it goes on")


def test_a_detector_that_fails_is_an_alarm_until_what_it_lacks_is_there(stack: InspectionStack) -> None:
    rules = Inspection(
        id="cam-1.rules", camera="cam-1", detector="rules", options='rules = "here: object in \\"yard\\""'
    )
    with stack.inspections() as client:
        client.put(rules)
        until(lambda: "no zone is called" in status(client, rules.id).problem, 20, "it says why it fails")
        (alarm,) = until(lambda: alarms(stack, "failed-rules"), 20, "that is an alarm")
        assert (alarm.camera, alarm.priority, alarm.ended_ns) == ("cam-1", 2, 0)
        assert "Inspection cam-1.rules fails" in alarm.summary
        rules.regions.append(YARD)
        client.put(rules)
        until(lambda: status(client, rules.id).problem == "" and status(client, rules.id).running, 20, "it runs")
        until(lambda: alarms(stack, "failed-rules")[0].ended_ns, 20, "the alarm is over")
        others = [one for one in client.list() if one.inspection.id != rules.id]
        assert all(one.worker and not one.problem for one in others)
        rules.disabled = True
        client.put(rules)


def test_two_models_run_in_one_inspection_and_one_of_them_is_changed_under_it(
    stack: InspectionStack, tmp_path: Path
) -> None:
    lamps = [model(tmp_path / name, "lamps", summary=name) for name in ("first", "second")]
    signs = model(tmp_path / "signs", "signs")
    rules = Inspection(
        id="cam-1.both",
        camera="cam-1",
        detector="rules",
        options='rules = "lit: bright"\nsources = ["objects@lamps", "objects@signs"]'.replace(
            '"lit: bright"', "'lit: \"bright\"'"
        ),
    )
    token = stack.broker.token
    with stack.inspections() as client, SyncModelClient(stack.config.aggregate.endpoint, token) as models:

        def running_now() -> str:
            return status(client, rules.id).running

        client.put(rules)
        assert "no version of model lamps was promoted" in status(client, rules.id).problem
        for files in (*lamps, signs):
            models.add(files.packed())
        models.roll_out("lamps", RolloutStep.PROMOTE, lamps[0].digest)
        models.roll_out("signs", RolloutStep.PROMOTE)
        until(lambda: running_now() == name_of(lamps[0], signs), 30, "both are loaded and speak")
        models.roll_out("lamps", RolloutStep.SHADOW, lamps[1].digest)
        until(lambda: status(client, f"{rules.id}~shadow").running == name_of(lamps[1], signs), 30, "one is tried")
        # What is changed of an inspection is changed of its shadow.
        rules.regions.append(YARD)
        client.put(rules)
        assert [one.name for one in status(client, f"{rules.id}~shadow").inspection.regions] == ["yard"]
        models.roll_out("lamps", RolloutStep.PROMOTE, lamps[1].digest, force=True)
        until(lambda: running_now() == name_of(lamps[1], signs), 30, "it speaks, beside the other")
        assert status(client, f"{rules.id}~shadow").inspection.id == ""
        models.roll_out("lamps", RolloutStep.ROLL_BACK)
        until(lambda: running_now() == name_of(lamps[0], signs), 30, "and is taken back")
        assert status(client, rules.id).problem == ""
        rules.disabled = True
        client.put(rules)


def model(folder: Path, name: str, summary: str = "") -> ModelFiles:
    toml = TINY_TOML.replace('"tiny"', f'"{name}"')
    return model_of(folder, f'{toml}summary = "{summary}"\n', bright_finder())


def name_of(*models: ModelFiles) -> str:
    return f"rules@1:{'+'.join(one.digest[:12] for one in models)}"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_bump_is_an_alarm_of_the_camera_that_is_over_a_minute_later(tmp_path: Path) -> None:
    arguments = ("--scenes", "street", "--incident", "cam-1=bump@25+25")
    settings = ('aggregate.default_detectors=["motion"]',)
    with (
        running(1, fps=8, size="640x360", loop_s=60.0, arguments=arguments) as sim,
        inspection_stack(tmp_path, settings=settings) as stack,
    ):
        with_regions(stack, sim)
        (moved,) = until(lambda: alarms(stack, "view-moved"), 150, "the bump is an alarm")
        assert (moved.camera, moved.priority) == ("cam-1", 3)
        assert moved.summary.startswith("Camera was bumped: regions follow by ")
        assert moved.summary.endswith("(cam-1.motion)")
        until(lambda: alarms(stack, "view-moved")[0].ended_ns, 90, "it is over after a minute")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_too_much_to_do_is_an_alarm_of_each_inspection_that_is_slowed(sim: Simulator, tmp_path: Path) -> None:
    settings = ("detector_pool.cores=0.01", 'aggregate.default_detectors=["motion", "signal"]')
    with inspection_stack(tmp_path, settings=settings) as stack:
        with_regions(stack, sim)
        slowed = until(lambda: alarms(stack, "slowed-motion"), 90, "it is slowed, and that is an alarm")[0]
        assert "the pool has too much to do" in slowed.summary
        with stack.inspections() as client:
            until(lambda: status(client, "cam-1.motion").lowered_to_fps, 10, "its status says so")
            # It goes on being looked at, and so does the other one of the camera.
            before = {name: status(client, f"cam-1.{name}").frames_scored for name in ("motion", "signal")}
            for name, scored in before.items():
                until(lambda: status(client, f"cam-1.{name}").frames_scored > scored, 30, f"{name} goes on")  # noqa: B023


def with_regions(stack: InspectionStack, sim: Simulator) -> None:
    """Adds the camera; motion looks for the whole picture, as a region that follows."""
    with stack.broker.sync_client() as broker:
        broker.add_camera("cam-1", sim.urls["cam-1"])
    with stack.inspections() as client:
        until(lambda: status(client, "cam-1.motion").frames_scored, 60, "frames are scored")
        motion = status(client, "cam-1.motion").inspection
        motion.regions.append(YARD)
        client.put(motion)
