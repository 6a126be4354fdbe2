from trueframe.enrolment import SIMULATED_LABEL, Enrolment, Known, changes_for
from trueframe.sources import NamedSource

REGIONS = {"cam-1": [{"name": "yard", "use": "inspect", "corners": [[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]]}]}
SIMULATED = {SIMULATED_LABEL: "yes"}


def test_a_new_source_is_added() -> None:
    (change,) = changes_for(Enrolment(sources=[NamedSource("gate", "rtsp://a/1", "Gate")]), {})
    assert (change.is_new, change.id, change.source, change.display_name) == (True, "gate", "rtsp://a/1", "Gate")


def test_a_known_camera_gets_the_new_source_and_keeps_its_name_and_labels() -> None:
    known = {"gate": Known({"floor": "1"}, True, "Main gate")}
    (change,) = changes_for(Enrolment(sources=[NamedSource("gate", "rtsp://a/2", "gate")]), known)
    assert not change.is_new
    assert (change.display_name, dict(change.labels), change.disabled) == ("Main gate", {"floor": "1"}, False)


def test_simulated_cameras_are_switched_off_in_a_run_without_them() -> None:
    known = {"cam-1": Known(SIMULATED, False, "cam-1"), "gate": Known({}, False, "gate")}
    (change,) = changes_for(Enrolment(), known)
    assert (change.id, change.disabled, change.source) == ("cam-1", True, "")


def test_and_on_again_in_a_run_with_them() -> None:
    known = {"cam-1": Known(SIMULATED, True, "cam-1")}
    (change,) = changes_for(Enrolment(simulated=[NamedSource("cam-1", "rtsp://127.0.0.1:1/cam-1", "cam-1")]), known)
    assert (change.is_new, change.disabled, dict(change.labels)) == (False, False, SIMULATED)


def test_cameras_of_earlier_runs_are_left_as_they_are() -> None:
    assert changes_for(Enrolment(), {"gate": Known({}, False, "gate"), "yard": Known({}, True, "yard")}) == []


def test_a_wish_survives_the_pipe() -> None:
    wish = Enrolment(
        [NamedSource("gate", "rtsp://u:p@a/1", "北门")], [NamedSource("cam-1", "rtsp://b/1", "cam-1")], REGIONS
    )
    assert Enrolment.from_json(wish.to_json()) == wish
