"""Addresses of devices: what is asked for, and what a device says of itself."""

from __future__ import annotations

import pytest

from broker.discovery.addresses import parse_address, reachable
from broker.discovery.errors import NoSuchInterface, NotAnAddress
from broker.discovery.interfaces import chosen, interfaces
from broker.discovery.probe import stream_key
from broker.sources.notation import parse_source

DEVICE = parse_address("http://10.0.0.7:8080/onvif/device_service")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("10.0.0.7", "http://10.0.0.7/onvif/device_service"),
        ("cam.example:8000", "http://cam.example:8000/onvif/device_service"),
        ("http://10.0.0.7/", "http://10.0.0.7/onvif/device_service"),
        ("https://[fe80::1]:8443/x y", None),
        ("https://[fd00::1]:8443/x", "https://[fd00::1]:8443/x"),
        ("http://10.0.0.7/onvif?channel=1", "http://10.0.0.7/onvif?channel=1"),
        ("rtsp://10.0.0.7/", None),
        ("http://user:secret@10.0.0.7/", None),
        ("http://10.0.0.7:99999/", None),
        ("http:///x", None),
        ("", None),
        ("http://10.0.0.7/\r\nX: y", None),
    ],
)
def test_an_address_is_completed_or_refused(text: str, whole: str | None) -> None:
    if whole is None:
        with pytest.raises(NotAnAddress) as raised:
            parse_address(text)
        assert "secret" not in str(raised.value)
    else:
        assert str(parse_address(text)) == whole


def test_another_service_is_asked_at_the_same_host_whatever_the_device_says() -> None:
    assert str(DEVICE.at("http://192.168.1.2/onvif/media")) == "http://10.0.0.7:8080/onvif/media"
    assert str(DEVICE.at("http://attacker.example/onvif/media?x=1")) == "http://10.0.0.7:8080/onvif/media?x=1"
    assert str(DEVICE.at("nonsense\r\nHost: x")).startswith("http://10.0.0.7:8080/")
    assert "\r" not in str(DEVICE.at("http://h/a\r\nX: y"))


@pytest.mark.parametrize(
    ("told", "used"),
    [
        ("rtsp://10.0.0.9:554/live", "rtsp://10.0.0.9:554/live"),
        ("rtsp://0.0.0.0:554/live?a=1", "rtsp://10.0.0.7:554/live?a=1"),
        ("rtsp://127.0.0.1/live", "rtsp://10.0.0.7/live"),
        ("rtsp://169.254.1.1/live", "rtsp://10.0.0.7/live"),
        ("rtsp://localhost/live", "rtsp://10.0.0.7/live"),
        ("rtsp://admin:secret@10.0.0.9/live", "rtsp://10.0.0.9/live"),
        ("RTSP://10.0.0.9/live", "rtsp://10.0.0.9/live"),
        ("no url", ""),
        ("rtsp://10.0.0.9/a\nb", ""),
    ],
)
def test_the_url_of_a_stream_is_one_that_can_be_reached_and_holds_no_login(told: str, used: str) -> None:
    assert reachable(told, DEVICE) == used


def test_interfaces_are_known_and_chosen_by_name_or_address() -> None:
    assert ("lo", "127.0.0.1") in [(interface.name, interface.address) for interface in interfaces()]
    assert chosen("lo") == chosen("127.0.0.1")
    with pytest.raises(NoSuchInterface, match=r"There are: .*lo \(127.0.0.1\)"):
        chosen("no-such")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("rtsp://a:b@HOST/live", "rtsp://host:554/live", True),
        ("rtsp://host/live?channel=1", "rtsp://host/live?channel=2", False),
        ("rtsp://host/live", "rtsp://host:8554/live", False),
        ("/a/clip.mp4?loop=1", "file:///a/clip.mp4", True),
        ("http://host/video", "http://host/video", True),
    ],
)
def test_the_same_stream_is_known_whatever_its_login(one: str, other: str, is_same: bool) -> None:
    assert (stream_key(parse_source(one)) == stream_key(parse_source(other))) is is_same
