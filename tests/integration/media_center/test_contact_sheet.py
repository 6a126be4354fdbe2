"""A contact sheet shows recorded stills, the event's peak among them, with their boxes, and names every frame."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from aggregate.client import SyncLedgerClient
from mesh.errors import NotFound
from mesh.files import private_folder
from mesh.ids import FrameId
from tests.footage import EPOCH, SECOND, clip_script, record
from trueframe.contact_sheet import contact_sheet
from trueframe.v1.events_pb2 import Box, Event

Instance = Any


@pytest.fixture
def tf(make_instance: Callable[..., Instance], tmp_path: Path) -> Iterator[Any]:
    """A media center over four seconds of footage, and nobody who serves a ledger."""
    made = make_instance()
    private_folder(made.footage_dir)
    record(made.footage_dir, clip_script(100).items)
    made.start("media_center")
    made.wait_ready("media_center")
    with made.footage() as footage, SyncLedgerClient(f"unix:{tmp_path}/nobody.sock", made.token("viewer")) as ledger:
        yield SimpleNamespace(footage=footage, ledger=ledger)


def event(peak: int) -> Event:
    return Event(
        id="e1", camera="gate", detector="motion@1", summary="somebody walks", score=0.9,
        peak=FrameId("gate", EPOCH, peak).to_proto(), boxes=[Box(x=0.2, y=0.2, width=0.5, height=0.5, score=0.9)],
    )  # fmt: skip


def test_the_peak_of_an_event_is_on_the_sheet_exactly_and_with_its_box(tf: Any) -> None:
    sheet = contact_sheet(tf, "gate", EPOCH, EPOCH + 3 * SECOND, event=event(33), stills=5, width=128, columns=3)
    assert [still.id.seq for still in sheet.stills] == [0, 18, 33, 37, 56, 75]
    assert [still.is_peak for still in sheet.stills] == [False, False, True, False, False, False]
    assert [still.boxes for still in sheet.stills] == [0, 0, 1, 0, 0, 0]
    assert "boxes of single frames are missing" in sheet.problem
    with Image.open(io.BytesIO(sheet.png)) as picture:
        assert json.loads(picture.text["Frames"]) == [str(still.id) for still in sheet.stills]  # type: ignore[attr-defined]
        assert picture.width == 3 * (128 + 10) + 10
        red = [
            colour for count, colour in picture.convert("RGB").getcolors(1 << 24) or [] if colour[0] - colour[2] > 200
        ]
        assert (255, 60, 0) in red


def test_a_stretch_is_shown_evenly_and_each_frame_once(tf: Any) -> None:
    sheet = contact_sheet(tf, "gate", EPOCH + SECOND, EPOCH + 2 * SECOND, stills=100, width=64, columns=10)
    assert [still.id.seq for still in sheet.stills] == list(range(25, 51))
    one = contact_sheet(tf, "gate", EPOCH + SECOND, EPOCH + 2 * SECOND, stills=1, width=64)
    assert [still.id.seq for still in one.stills] == [25]


def test_where_nothing_is_recorded_there_is_no_sheet(tf: Any) -> None:
    with pytest.raises(NotFound, match="no frame in the range"):
        contact_sheet(tf, "gate", EPOCH + 100 * SECOND, EPOCH + 200 * SECOND)
    with pytest.raises(NotFound):
        contact_sheet(tf, "nowhere", EPOCH, EPOCH + SECOND)
