from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.config import CameraSeed, Config, InspectionSeed, RegionSeed, complete, default_run_dir, dump, load
from mesh.errors import InvalidArgument, NotFound


def test_defaults_are_complete_and_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(None, environ={})
    assert config.run_dir == tmp_path / "trueframe-data" / "run" or len(str(tmp_path)) > 60
    assert config.broker.endpoint == f"unix:{config.run_dir}/broker.sock"
    assert config.token_file == tmp_path / "trueframe-data" / "keys" / "service.token"
    assert config.footage_dir == tmp_path / "trueframe-data" / "media"
    assert config.rings_socket == config.run_dir / "rings.sock"
    assert complete(config) == config


def test_file_environment_and_flags_outrank_each_other_in_this_order(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[broker]\nring_seconds = 10\nmax_cameras = 10\nmax_subscribers = 10\n")
    environ = {"TRUEFRAME_BROKER__MAX_CAMERAS": "20", "TRUEFRAME_BROKER__MAX_SUBSCRIBERS": "20"}
    config = load(path, ["broker.max_subscribers=30"], environ)
    assert (config.broker.ring_seconds, config.broker.max_cameras, config.broker.max_subscribers) == (10.0, 20, 30)


def test_variables_of_others_are_left_alone() -> None:
    load(None, environ={"TRUEFRAME_PARENT_PID": "1", "TRUEFRAME_REQUIRE": "rtsp", "PATH": "x", "OTHER__X": "1"})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("broker.ring_second=3", "--set broker.ring_second: section [broker] has no key 'ring_second'. "
                                 "Did you mean 'ring_seconds'?"),
        ("brokr.ring_seconds=3", "--set brokr.ring_seconds: the configuration has no key 'brokr'. "
                                 "Did you mean 'broker'?"),
        ("broker=3", "--set broker: broker is a section; name a key in it: endpoint, "),
        ("broker.ring_seconds.x=3", "--set broker.ring_seconds.x: broker.ring_seconds has no keys of its own"),
        ("broker.ring_seconds", "--set 'broker.ring_seconds': is not of the form section.key=value"),
        ("broker.ring_seconds=0", "broker.ring_seconds: has to be at least 1 and at most 3600, not 0"),
        ("broker.ring_seconds=nan", "broker.ring_seconds: has to be a finite number"),
        ("broker.ring_seconds=many", "broker.ring_seconds: has to be a number, not 'many'"),
        ("broker.max_cameras=1.5", "broker.max_cameras: has to be a whole number, not 1.5"),
        ("broker.max_cameras=true", "broker.max_cameras: has to be a whole number, not true"),
        ("run.metrics=maybe", "run.metrics: has to be true or false, not 'maybe'"),
        ("run.log_level=warn", "run.log_level: has to be one of debug, info, warning, error, not 'warn'. "
                               "Did you mean 'warning'?"),
        ("cameras=3", "cameras: has to be a list, not 3"),
        ("cameras=[{id='a', sorce='x'}]", "cameras[0].sorce: section [cameras[0]] has no key 'sorce'. "
                                          "Did you mean 'source'?"),
        ("cameras=[{id='Gate', source='x'}]", "cameras[0]: camera id 'Gate': is not 1 to 63 characters"),
        ("cameras=[{id='a', source='x'}, {id='a', source='y'}]", "cameras[1]: id 'a': is there twice"),
        ("cameras=[{id='a'}]", "cameras[0]: camera 'a': has no source"),
        ("inspections=[{id='a', camera='?'}]", "inspections[0]: camera id '?': is not"),
        ("inspections=[{camera='a'}]", "inspections[0]: has no id"),
        ("media_center.max_segment_s=30", "media_center.max_segment_s: is less than segment_s (60)"),
        ("inspections=[{regions=[{corners=[[0,0],[1,2]]}]}]",
         "inspections[0].regions[0].corners: has to be at least 0 and at most 1, not 2"),
        ("inspections=[{regions=[{corners=[[0,0,0]]}]}]",
         "inspections[0].regions[0].corners[0]: has to have 2 items, not 3"),
        ("inspections=[{regions=[{use='ignored'}]}]",
         "inspections[0].regions[0].use: has to be one of inspect, ignore, line, not 'ignored'. "
         "Did you mean 'ignore'?"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_naming_key_reason_and_nearest_valid(override: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        load(None, [override], {})
    assert str(caught.value).startswith(message)


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"environment variable TRUEFRAME_BROKER__RINGS: .*Did you mean"):
        load(None, environ={"TRUEFRAME_BROKER__RINGS": "3"})


def test_an_unknown_key_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[media-center]\nsync_s = 1\n")
    with pytest.raises(InvalidArgument, match=r"no key 'media-center'\. Did you mean 'media_center'"):
        load(path, environ={})


def test_a_file_that_is_absent_broken_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        load(tmp_path / "no.toml", environ={})
    with pytest.raises(InvalidArgument, match="cannot be read"):
        load(tmp_path, environ={})
    for content in (b"[broker", b"\xff\xfe", b"x = " + b"[" * 100_000, b"# " + b"x" * (5 << 20)):
        (tmp_path / "c.toml").write_bytes(content)
        with pytest.raises(InvalidArgument, match="configuration file"):
            load(tmp_path / "c.toml", environ={})


def test_an_error_never_shows_a_cameras_source(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('broker = [{id = "a", source = "rtsp://admin:secret@cam"}]\n')
    with pytest.raises(InvalidArgument) as caught:
        load(path, environ={})
    assert "secret" not in str(caught.value)


texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
fractions = st.floats(0, 1)
corners = st.lists(st.tuples(fractions, fractions), max_size=4).map(tuple)
slugs = st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True)
cameras = st.builds(
    CameraSeed, id=slugs, source=texts.filter(bool), display_name=texts, disabled=st.booleans(),
    labels=st.dictionaries(texts, texts, max_size=3),
)  # fmt: skip
regions = st.builds(RegionSeed, name=texts, use=st.sampled_from(["inspect", "ignore"]), corners=corners)
inspections = st.builds(
    InspectionSeed, id=texts.filter(bool), camera=slugs, detector=texts, threshold=fractions,
    regions=st.lists(regions, max_size=2).map(tuple),
)  # fmt: skip


@given(
    cameras=st.lists(cameras, max_size=3, unique_by=lambda c: c.id).map(tuple),
    inspections=st.lists(inspections, max_size=2, unique_by=lambda i: i.id).map(tuple),
)
def test_what_is_dumped_is_loaded_as_it_was(
    cameras: tuple[CameraSeed, ...], inspections: tuple[InspectionSeed, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = complete(Config(cameras=cameras, inspections=inspections))
    path = tmp_path_factory.getbasetemp() / "dumped.toml"
    path.write_text(dump(config), newline="")
    assert load(path, environ={}) == config


def test_a_long_data_folder_gets_short_sockets_of_its_own(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    assert default_run_dir(deep).parent == Path("/tmp")
    assert default_run_dir(deep) != default_run_dir(tmp_path / ("y" * 100))
    assert len(f"{default_run_dir(deep)}/media-center.sock") < 100
    assert default_run_dir(Path("/d")) == Path("/d/run")


def test_every_field_is_documented() -> None:
    from dataclasses import fields, is_dataclass
    from typing import get_type_hints

    for section in fields(Config):
        kind = get_type_hints(Config)[section.name]
        kind = kind if is_dataclass(kind) else kind.__args__[0]
        assert kind.__doc__
        for one in fields(kind):
            assert one.metadata["doc"].endswith("."), (section.name, one.name)


def test_the_reference_page_is_up_to_date() -> None:
    from mesh.config_reference import reference

    page = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"
    assert page.read_text() == reference(), f"run: python -m mesh.config_reference {page}"
