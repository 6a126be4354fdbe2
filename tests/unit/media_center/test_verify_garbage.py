"""Verification of what comes from outside: whatever it is, there is a report, and never a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_center.keys import FootageSigner, TrustedKeys
from media_center.manifest import MalformedStatement, parse_manifest
from media_center.proof import parse_proof
from media_center.statement import parse_statement, sign_statement
from media_center.verify_files import verify_paths
from media_center.verify_report import Outcome
from tests.footage import Script, record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=True),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["x.mp4", "x.png", "x.proof.json", "manifest_x.json", "1800000000000000000-000000000000.mp4", "removed.jsonl", "x"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(NAMES, st.binary(max_size=600), st.sampled_from([b"", b"{", b"\x89PNG\r\n\x1a\n", b"\0\0\0\x08ftyp"]))
def test_any_bytes_under_any_name_are_reported(tmp_path: Path, name: str, data: bytes, head: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(head + data)
    try:
        for report in verify_paths([path, tmp_path], TrustedKeys()):
            assert report.outcome is not Outcome.GOOD
            assert json.dumps(report.record())
    finally:
        path.unlink()


@settings(max_examples=150, deadline=None)
@given(JSON, st.sampled_from(["trueframe-manifest-1", "trueframe-snapshot-1"]), st.data())
def test_a_statement_of_any_content_is_read_or_refused(content: object, form: str, data: st.DataObject) -> None:
    names = [
        "files",
        "made_ns",
        "made_for",
        "purpose",
        "camera",
        "epoch",
        "seq",
        "png_sha256",
        "seal",
        "frames",
        "inexact",
    ]
    body = {name: data.draw(JSON) for name in data.draw(st.sets(st.sampled_from(names)))} | {"form": form, "x": content}
    text = json.dumps({"statement": body, "key_id": "00" * 16, "signature": "00" * 64}).encode()
    for parse in (parse_manifest, parse_proof):
        with pytest.raises(MalformedStatement):
            parse(text)


def test_a_statement_reads_the_same_to_everybody() -> None:
    signer = FootageSigner.generate()
    sound = sign_statement({"form": "a", "n": 1}, signer)
    assert parse_statement(sound, "a").body == {"form": "a", "n": 1}
    for bad in (
        sound.replace(b'"n": 1', b'"n": 2, "n": 1'),
        sound.replace(b'"n": 1', b'"n": 1.0'),
        sound.replace(b'"key_id"', b'"more": 1, "key_id"'),
        sound.replace(b'"n": 1', b'"n": NaN'),
        sound.replace(b'"n": 1', b'"n": ' + b"[" * 9000 + b"]" * 9000),
        sound.replace(b'"n": 1', b'"n": ' + b"9" * 5000),
    ):
        with pytest.raises(MalformedStatement):
            parse_statement(bad, "a")


def test_what_is_neither_file_nor_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reports = verify_paths([tmp_path / "pipe", tmp_path / "absent", tmp_path], TrustedKeys())
    assert [report.outcome for report in reports] == [Outcome.BROKEN] * 3


def test_folders_of_one_camera_on_two_disks_are_one_chain(tmp_path: Path) -> None:
    signer = FootageSigner.generate()
    record(tmp_path / "media", Script().start().frames(95).items, signer=signer)
    here, there = tmp_path / "media" / "gate", tmp_path / "other" / "gate"
    there.mkdir(parents=True)
    for path in sorted(here.glob("*.mp4"))[:2]:
        path.rename(there / path.name)
    trusted = TrustedKeys([signer.public_key])
    assert [report.outcome for report in verify_paths([here, there], trusted)] == [Outcome.GOOD]
    assert [report.outcome for report in verify_paths([here], trusted)] == [Outcome.BROKEN]


def test_a_copy_of_a_segment_is_good_under_any_name_of_its_own(tmp_path: Path) -> None:
    signer = FootageSigner.generate()
    record(tmp_path / "media", Script().start().frames(35).items, signer=signer)
    first = min((tmp_path / "media" / "gate").glob("*.mp4"))
    (tmp_path / "evidence.mp4").write_bytes(first.read_bytes())
    (report,) = verify_paths([tmp_path / "evidence.mp4"], TrustedKeys([signer.public_key]))
    assert report.outcome is Outcome.GOOD
    assert first.name in " ".join(report.notes)
