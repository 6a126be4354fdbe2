"""Redirects: where to, how often, and who may see the credentials."""

from __future__ import annotations

import pytest

from broker.errors import SourceRefused, StreamMoved
from broker.rtsp.route import MOST_MOVES, Route
from broker.sources.notation import RtspSource, parse_source

SECOND = 1_000_000_000


def source(text: str, **more: str) -> RtspSource:
    parsed = parse_source(text, **more)  # type: ignore[arg-type]
    assert isinstance(parsed, RtspSource)
    return parsed


def moved(location: str, is_proxy: bool = False) -> StreamMoved:
    return StreamMoved("camera", "moved", location=location, is_proxy=is_proxy)


def followed(start: str, *locations: str) -> RtspSource:
    route = Route(source(start))
    for location in locations:
        route.follow(moved(location), 0)
    return route.source


def test_a_stream_is_looked_for_where_it_was_moved_to() -> None:
    there = followed("rtsp://cam/live", "rtsp://other:8554/new?x=1")
    assert (there.url, there.host, there.port) == ("rtsp://other:8554/new?x=1", "other", 8554)


@pytest.mark.parametrize(("location", "expected"), [("/new", "rtsp://cam:8554/new"), ("new", "rtsp://cam:8554/a/new")])
def test_a_relative_place_is_below_the_old_one(location: str, expected: str) -> None:
    assert followed("rtsp://cam:8554/a/live", location).url == expected


@pytest.mark.parametrize("location", ["rtsp://cam:8554/new", "rtsp://CAM/new", "rtsps://cam/new", "/new"])
def test_the_same_host_sees_the_credentials_again(location: str) -> None:
    there = followed("rtsp://u:secret@cam/live", location)
    assert there.credentials is not None
    assert there.credentials.password == "secret"


@pytest.mark.parametrize("location", ["rtsp://other/live", "rtsp://cam.example/live", "rtsp://cam@evil/live"])
def test_another_host_never_sees_the_credentials(location: str) -> None:
    there = followed("rtsp://u:secret@cam/live", location)
    assert there.credentials is None or there.credentials.password != "secret"


def test_a_place_may_bring_credentials_of_its_own() -> None:
    there = followed("rtsp://u:secret@cam/live", "rtsp://a:b@other/live")
    assert there.credentials is not None
    assert (there.credentials.user, there.credentials.password) == ("a", "b")


def test_back_at_the_first_host_the_credentials_are_there_again() -> None:
    there = followed("rtsp://u:secret@cam/live", "rtsp://other/live", "rtsp://cam/elsewhere")
    assert there.credentials is not None


def test_a_proxy_is_asked_for_the_old_url() -> None:
    route = Route(source("rtsp://u:secret@cam/live"))
    route.follow(moved("rtsp://proxy:8554/", is_proxy=True), 0)
    assert (route.source.url, route.source.host, route.source.port) == ("rtsp://cam/live", "proxy", 8554)
    assert route.source.credentials is None


@pytest.mark.parametrize(
    ("start", "locations", "reason"),
    [
        ("rtsp://cam/a", ["rtsp://cam/a"], "in circles"),
        ("rtsp://cam/a", ["rtsp://cam/b", "rtsp://cam/a"], "in circles"),
        ("rtsps://cam/a", ["rtsp://cam/a"], "not encrypted"),
        ("rtsp://cam/a", ["http://cam/a"], "not RTSP"),
        ("rtsp://cam/a", ["file:///etc/passwd"], "not RTSP"),
        ("rtsp://cam/a", ["gopher://cam/a"], "unknown scheme"),
        ("rtsp://cam/a", ["rtsp://"], "names no host"),
        ("rtsp://cam/a", [f"rtsp://cam/{n}" for n in range(MOST_MOVES + 1)], "times within a minute"),
    ],
)
def test_a_way_that_leads_nowhere_is_refused(start: str, locations: list[str], reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason) as caught:
        followed(start, *locations)
    assert "secret" not in str(caught.value)


def test_a_place_in_the_refusal_is_shown_without_its_credentials() -> None:
    with pytest.raises(SourceRefused) as caught:
        followed("rtsps://cam/a", "rtsp://u:secret@cam/a")
    assert "secret" not in str(caught.value)


def test_moves_of_days_gone_by_do_not_count() -> None:
    route = Route(source("rtsp://cam/0"))
    for day in range(1, 30):
        route.follow(moved(f"rtsp://cam/{day % 2}"), day * 86_400 * SECOND)
    assert route.source.url == "rtsp://cam/1"


def test_asked_anew_without_a_place_the_first_one_is_asked() -> None:
    route = Route(source("rtsp://cam/live"))
    route.follow(moved("rtsp://other/x"), 0)
    route.follow(moved(""), SECOND)
    assert route.source.url == "rtsp://cam/live"


def test_the_pinned_certificate_is_asked_for_at_the_new_place_too() -> None:
    there = Route(source("rtsps://cam/live", tls_sha256="ab" * 32))
    there.follow(moved("rtsps://other/live"), 0)
    assert there.source.tls_sha256 == "ab" * 32
