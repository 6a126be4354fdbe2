"""Cameras as CSV: what spreadsheets make of it, every mistake by its line, and back."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from trueframe.camera_table import MAX_ROWS, CameraRow, read_table, write_table

FINGERPRINT = "ab" * 32
COLONS = ":".join(["AB"] * 32)


def rows(text: str) -> list[CameraRow]:
    found, bad = read_table(text.encode())
    assert bad == []
    return found


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_however_a_spreadsheet_writes_it(delimiter: str, start: str, end: str) -> None:
    lines = [
        ["ID", "source", " Display_Name ", "labels", "label:Flügel", "transport", "tls_sha256", "device", "disabled"],
        ["gate", "rtsps://u:p@h/x?a=1", '"Tor; ""Nord"", 1"', '"floor=2;wing=x"', "Ost", "TCP", COLONS, "NVR", "Yes"],
        ["", "", "", "", "", "", "", "", ""],
        ["", "http://10.0.0.8/video", "Hof Süd", "", "", "", "", "", ""],
        ["plain", "rtsp://10.0.0.9/1"],
    ]  # fmt: skip
    gate, yard, plain = rows(start + "".join(delimiter.join(line) + end for line in lines))
    labels = {"floor": "2", "wing": "x", "Flügel": "Ost"}
    assert gate == CameraRow(
        gate.line, "gate", "rtsps://u:p@h/x?a=1", 'Tor; "Nord", 1', labels, "tcp", FINGERPRINT, "NVR", True
    )
    assert (yard.id, yard.display_name, yard.transport, yard.disabled) == ("hof-sud", "Hof Süd", "auto", False)
    assert plain.id == "plain"
    assert plain.line == gate.line + 3


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("x,,,,,,,", "line 2: source: is empty. Give"),
        ("x,gopher://h,,,,,,", 'line 2: source "gopher://h": scheme "gopher" is not known'),
        ("x,rtsp://h/1,,,,,,,more", "line 2: row: has 9 cells, and there are 8 columns"),
        ("Ä!,rtsp://h/1,,,,,,", 'line 2: id "Ä!": is not 1 to 63 characters'),
        ("x,rtsp://h/1,,floor,,,,", 'line 2: label "floor": is not KEY=VALUE. Write'),
        ("x,rtsp://h/1,,,smoke,,,", 'line 2: transport "smoke": is none. Write one of auto, tcp, udp'),
        ("x,rtsps://h/1,,,,12ab,,", "line 2: tls_sha256: is not 64 hexadecimal digits"),
        ("x,rtsp://h/1,,,,,,maybe", 'line 2: disabled "maybe": is neither yes nor no'),
        ('x,rtsp://h/1,"two\nlines",,,,,', "line 2: display_name: holds a control character"),
        ("x,rtsp://h/1?token=***,,,,,,", "has a secret that was taken out of the listing. Write the secret in"),
        ("x,/no/such.mp4,,,,,,", 'line 2: source "/no/such.mp4": no such file'),
    ],
)
def test_a_bad_line_is_told_with_its_number_reason_and_remedy(cells: str, said: str) -> None:
    header = "id,source,display_name,labels,transport,tls_sha256,device,disabled"
    good, (bad,) = read_table(f"{header}\n{cells}\nok,rtsp://h/ok,,,,,,\n".encode())
    assert said in str(bad)
    assert [row.id for row in good] == ["ok"]


def test_every_bad_line_is_told_and_an_id_counts_once() -> None:
    good, bad = read_table(b"id,source\na,rtsp://h/1\na,rtsp://h/2\n,\nb,\nc,nonsense://\n")
    assert [row.id for row in good] == ["a"]
    assert [line.line for line in bad] == [3, 5, 6]
    assert "stands in line 2, too" in bad[0].reason


def test_a_quote_that_never_ends_is_told() -> None:
    _, bad = read_table(b'id,source\na,"rtsp://h/1\nb,rtsp://h/2\n')
    assert bad
    assert bad[-1].thing == "quotes"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"id,name\nx,y\n", "has no column source"),
        (b"id,sorce\n", "Did you mean source"),
        (b"source,source\n", "stands there twice"),
        (b"source,url\n", "stands there twice"),
        ("source\nrtsp://h/ä\n".encode("latin-1"), "is not UTF-8 (line 2)"),
        ("source\n".encode("utf-16"), "is not UTF-8"),
        (b"source\nrtsp://h/\0\n", "zero bytes"),
        (b"source\n" + b"rtsp://h/1\n" * (MAX_ROWS + 1), "has more than"),
        (b"x" * (9 << 20), "is larger than"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        read_table(data)
    assert reason in str(raised.value)


NAMES = (
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=20).map(str.strip).filter(str.isprintable)
)
KEYS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
ROWS = st.builds(
    CameraRow,
    st.just(0),
    st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
    st.sampled_from(["rtsp://h/1", "rtsps://h:99/a?x=1&y=2", "http://h/v", "rtsp://[fd00::1]/x,y;z"]),
    NAMES,
    st.dictionaries(KEYS, NAMES.filter(bool), max_size=3),
    st.sampled_from(["auto", "tcp", "udp"]),
    st.sampled_from(["", FINGERPRINT]),
    NAMES,
    st.booleans(),
)


@given(st.lists(ROWS, max_size=6, unique_by=lambda row: row.id))
def test_what_is_written_is_read_back(written: list[CameraRow]) -> None:
    read, bad = read_table(write_table(written).encode())
    assert bad == []
    assert [row.differences(other) for row, other in zip(written, read, strict=True)] == [[] for _ in written]


def test_credentials_are_not_written() -> None:
    text = write_table([CameraRow(0, "gate", "rtsp://admin:hidden@h/x?token=hidden")])
    assert "hidden" not in text
    assert "rtsp://h/x" in text


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidArgument):
        read_table(data)


def test_a_row_shows_no_credentials() -> None:
    assert "hidden" not in repr(CameraRow(1, "a", "rtsp://u:hidden@h/x"))
