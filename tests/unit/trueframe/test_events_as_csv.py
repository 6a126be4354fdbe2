"""Events as CSV: nothing that came from outside is a formula, and every column has its place."""

from __future__ import annotations

import csv
import io

from mesh.csv_cells import csv_text
from trueframe.commands.events_csv import COLUMNS, row
from trueframe.v1.events_pb2 import EVENT_KIND_ANOMALY, EVENT_VERDICT_FALSE, Comment, Event, EventLabel


def test_what_people_and_cameras_say_is_never_a_formula() -> None:
    event = Event(
        id="e1", kind=EVENT_KIND_ANOMALY, camera="gate", summary='=HYPERLINK("http://x")', owner="@anna",
        label=EventLabel(verdict=EVENT_VERDICT_FALSE, region="+door", tags=["-cat", "정문"]),
        comments=[Comment(author="=anna", text="a\nb")], score=0.5, priority=2,
    )  # fmt: skip
    (told,) = csv.DictReader(io.StringIO(csv_text(COLUMNS, [row(event)])))
    assert told["summary"] == '\'=HYPERLINK("http://x")'
    assert (told["owner"], told["label"], told["label_region"]) == ("'@anna", "false", "'+door")
    assert (told["label_tags"], told["comments"]) == ("'-cat; 정문", "'=anna: a\nb")
    assert (told["score"], told["priority"], told["clip_from"]) == ("0.5", "2", "")
    assert len(row(Event())) == len(COLUMNS)
