"""What discovery found, as cameras to be."""

from __future__ import annotations

import shlex

from trueframe.found_devices import FoundDevice, FoundStream, cameras_to_be, place_of


def device(host: str, name: str, *streams: str) -> FoundDevice:
    told = tuple((f"p{number}", profile, f"rtsp://{host}/{profile}") for number, profile in enumerate(streams))
    return FoundDevice(f"urn:{host}", f"http://{host}/onvif/device_service", name, told)


def test_a_camera_is_named_after_its_device_and_the_others_after_their_profile() -> None:
    main, sub = cameras_to_be([device("10.0.0.7", "Hof Süd", "main", "sub 1")], {})
    assert (main.id, main.display_name, main.device, main.is_main) == ("hof-sud", "Hof Süd", "Hof Süd", True)
    assert (sub.id, sub.display_name, sub.device, sub.is_main) == ("hof-sud-sub-1", "Hof Süd sub 1", "Hof Süd", False)


def test_devices_of_one_name_are_told_apart_by_their_address() -> None:
    found = cameras_to_be([device("10.0.0.7", "IPC", "main"), device("10.0.0.8", "IPC", "main")], {})
    assert [stream.id for stream in found] == ["ipc-10-0-0-7", "ipc-10-0-0-8"]


def test_a_device_without_a_latin_name_has_its_address() -> None:
    (stream,) = cameras_to_be([device("10.0.0.7", "大门", "main")], {})
    assert (stream.id, stream.display_name) == ("10-0-0-7", "大门")


def test_ids_that_are_taken_are_not_given_again() -> None:
    present = {"gate": "rtsp://elsewhere/1", "gate-2": "rtsp://elsewhere/2"}
    (stream,) = cameras_to_be([device("10.0.0.7", "Gate", "main")], present)
    assert (stream.id, stream.attached_as) == ("gate-3", "")


def test_a_stream_that_a_camera_has_is_known_whatever_its_port_is_written_as() -> None:
    present = {"north": "rtsp://10.0.0.7:554/main"}
    (stream,) = cameras_to_be([device("10.0.0.7", "Gate", "main")], present)
    assert (stream.id, stream.attached_as) == ("north", "north")
    assert place_of("rtsp://H:554/a?b=1") == place_of("rtsp://h/a?b=1")
    assert place_of("rtsp://h/a") != place_of("rtsps://h/a")
    assert place_of("rtsp://h:x/") == ("", 0, "rtsp://h:x/")


def test_the_line_that_adds_a_camera_can_be_pasted_and_shows_no_password() -> None:
    stream = FoundStream("gate", "Tor 'Nord' $1", "rtsp://h/x?a=1&b=2", "NVR", "p")
    assert shlex.split(stream.add_line(True)) == [
        "trueframe", "cameras", "add", "Tor 'Nord' $1", "rtsp://USER:PASSWORD@h/x?a=1&b=2", "--id", "gate",
        "--device", "NVR",
    ]  # fmt: skip
    assert "USER" not in stream.add_line(False)


def test_a_login_is_put_into_the_source_so_that_any_password_survives() -> None:
    stream = FoundStream("gate", "", "rtsp://h/x", "", "p")
    assert stream.with_login("a@b", "p/w:d#?") == "rtsp://a%40b:p%2Fw%3Ad%23%3F@h/x"
    assert stream.with_login("", "") == "rtsp://h/x"
