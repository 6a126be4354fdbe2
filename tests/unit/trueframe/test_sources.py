from pathlib import Path

import pytest

from broker.sources.notation import FileSource, parse_source
from mesh.errors import InvalidArgument
from trueframe.sources import parse_sources, slug


def test_an_rtsp_url_gives_an_id_of_host_and_path() -> None:
    (source,) = parse_sources(["rtsp://admin:secret@10.0.0.7:554/Streaming/101"])
    assert source.id == "10-0-0-7-streaming-101"
    assert source.source == "rtsp://admin:secret@10.0.0.7:554/Streaming/101"
    assert "secret" not in source.id + source.display_name


def test_a_file_gives_an_id_of_its_name_and_an_absolute_path(tmp_path: Path) -> None:
    clip = tmp_path / "North Gate (2).mp4"
    clip.touch()
    (source,) = parse_sources([str(clip)])
    assert (source.id, source.source) == ("north-gate-2", str(clip))


@pytest.mark.parametrize("name", ["clip.mp4", "what?.mp4", "50% a?loop=0.mp4"])
def test_a_file_may_be_looped_and_is_the_one_the_broker_opens(tmp_path: Path, name: str) -> None:
    clip = tmp_path / name
    clip.touch()
    (once,) = parse_sources([str(clip)])
    (named,) = parse_sources([f"gate={clip}?loop=1"])
    (looped,) = parse_sources([f"{clip}?loop=1"])
    assert parse_source(once.source) == FileSource(clip, False)
    assert parse_source(looped.source) == FileSource(clip, True)
    assert named.source == looped.source
    assert (looped.id, named.id) == (once.id, "gate")


def test_a_name_outranks_what_would_be_derived() -> None:
    (source,) = parse_sources(["Südtor 1=rtsp://10.0.0.7/live?channel=2"])
    assert (source.id, source.display_name) == ("sudtor-1", "Südtor 1")
    assert source.source == "rtsp://10.0.0.7/live?channel=2"


def test_an_equals_sign_inside_a_url_is_no_name() -> None:
    (source,) = parse_sources(["rtsp://10.0.0.7/cam?channel=1&subtype=0"])
    assert source.source == "rtsp://10.0.0.7/cam?channel=1&subtype=0"


def test_equal_ids_are_numbered() -> None:
    sources = parse_sources(["rtsp://a/live", "rtsp://a/live/", "rtsp://a/live?x=1"])
    assert [source.id for source in sources] == ["a-live", "a-live-2", "a-live-3"]


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="named twice"):
        parse_sources(["gate=rtsp://a/1", "gate=rtsp://a/2"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://user:secret@host/clip", "scheme"),
        ("nowhere.mp4", "no such file"),
        ("/tmp", "is a folder"),
        ("北门=rtsp://a/1", "no Latin letter"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_a_remedy(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason) as refused:
        parse_sources([text])
    assert refused.value.remedy
    assert "secret" not in str(refused.value)


def test_a_slug_is_always_a_camera_id_or_empty() -> None:
    assert slug("x" * 200) == "x" * 63
    assert slug("---") == ""
    assert slug("Tür/Öffner_7") == "tur-offner-7"
