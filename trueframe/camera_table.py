"""Cameras as a table: CSV to descriptions and back. Pure.

What should not be in this module: the broker; files; what is done with a row.

Columns, in any order, separated by comma, semicolon or tab: `id`, `source`, `display_name` (or `name`), `labels`
(`floor=2;wing=north`), `label:KEY` (one label each), `transport` (auto, tcp, udp), `tls_sha256`, `device`, `disabled`
(yes, no). Only `source` is needed; an id that is left out is made of the name or the source.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh.errors import InvalidArgument
from mesh.ids import CAMERA_ID_RULE, is_camera_id
from mesh.redact import HIDDEN, redact_url
from trueframe.sources import parse_sources, slug

MAX_BYTES = 8 << 20
MAX_ROWS = 10_000
COLUMNS = ("id", "source", "display_name", "labels", "transport", "tls_sha256", "device", "disabled")
TRANSPORTS = ("auto", "tcp", "udp")
_ALIASES = {"name": "display_name", "url": "source"}
_LABEL = "label:"
_YES, _NO = frozenset({"yes", "true", "1", "on", "x"}), frozenset({"", "no", "false", "0", "off"})


@dataclass(frozen=True, slots=True)
class CameraRow:
    """One camera of a table. `source` may hold credentials and is not shown by `repr`."""

    line: int
    id: str
    source: str = field(repr=False)
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    transport: str = "auto"
    tls_sha256: str = ""
    device: str = ""
    disabled: bool = False

    def differences(self, other: CameraRow) -> list[str]:
        """Columns in which the other, as a broker tells it, is not the same; credentials cannot be compared."""
        pairs = {
            "source": (redact_url(self.source), redact_url(other.source)),
            "display_name": (self.display_name or self.id, other.display_name or other.id),
            "labels": (dict(self.labels), dict(other.labels)),
            "transport": (self.transport, other.transport),
            "tls_sha256": (self.tls_sha256, other.tls_sha256),
            "device": (self.device, other.device),
            "disabled": (self.disabled, other.disabled),
        }
        return [name for name, (mine, theirs) in pairs.items() if mine != theirs]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be a camera: what is wrong, why, and what to do."""

    line: int
    thing: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"line {self.line}: {self.thing}: {self.reason}.{' ' + self.remedy if self.remedy else ''}"


class _Bad(Exception):
    """Thing, reason, remedy of the line that is being read."""


def read_table(data: bytes) -> tuple[list[CameraRow], list[BadLine]]:
    """All cameras of a CSV file and all of its bad lines. Raises InvalidArgument if it is no such table at all."""
    text = _decoded(data)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    columns: list[str] | None = None
    rows: list[CameraRow] = []
    bad: list[BadLine] = []
    lines_of: dict[str, int] = {}
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            bad.append(BadLine(line, "quotes", str(error), "What comes after this line was not read."))
            break
        if cells is None:
            break
        if not any(cell.strip() for cell in cells):
            continue
        if columns is None:
            columns = _columns(cells)
            continue
        if len(rows) + len(bad) >= MAX_ROWS:
            raise InvalidArgument("table", f"has more than {MAX_ROWS} rows", "Split it.")
        try:
            row = _row(line, columns, cells)
            if row.id in lines_of:
                raise _Bad(f"id {row.id!r}", f"stands in line {lines_of[row.id]}, too", "Give every camera its own.")
        except _Bad as error:
            bad.append(BadLine(line, *error.args))
        else:
            lines_of[row.id] = line
            rows.append(row)
    if columns is None:
        raise InvalidArgument("table", "is empty", f"Begin with a line of column names: {','.join(COLUMNS)}")
    return rows, bad


def write_table(rows: Iterable[CameraRow]) -> str:
    """A CSV file that `read_table` reads back: without credentials, a column for every label."""
    rows = list(rows)
    keys = sorted({key for row in rows for key in row.labels})
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    plain = [column for column in COLUMNS if column != "labels"]
    writer.writerow([*plain, *(f"{_LABEL}{key}" for key in keys)])
    for row in rows:
        cells = [getattr(row, column) for column in plain]
        cells[plain.index("source")] = redact_url(row.source)
        cells[plain.index("disabled")] = "yes" if row.disabled else "no"
        writer.writerow([*cells, *(row.labels.get(key, "") for key in keys)])
    return out.getvalue()


def _decoded(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise InvalidArgument("table", f"is larger than {MAX_BYTES >> 20} MiB", "Split it.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidArgument(
            "table", f"is not UTF-8 (line {line})", 'Save it as UTF-8; Excel calls that "CSV UTF-8".'
        ) from None
    if "\0" in text:
        raise InvalidArgument("table", "holds zero bytes", "Save it as CSV; this looks like another kind of file.")
    return text


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=header.count)


def _columns(cells: list[str]) -> list[str]:
    columns = []
    for cell in cells:
        name = cell.strip()
        known = _ALIASES.get(name.lower(), name.lower())
        if name.lower().startswith(_LABEL) and name[len(_LABEL) :].strip():
            columns.append(_LABEL + name[len(_LABEL) :].strip())
        elif known in COLUMNS or not name:
            columns.append(known)
        else:
            near = difflib.get_close_matches(name.lower(), [*COLUMNS, *_ALIASES], 1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise InvalidArgument(
                f'column "{name[:60]}"',
                "is none that a camera has",
                f"{meant}There are {', '.join(COLUMNS)}, label:KEY.",
            )
    named = [name for name in columns if name]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise InvalidArgument(f'column "{twice[0]}"', "stands there twice", "Leave one of them out.")
    if "source" not in columns:
        raise InvalidArgument(
            "table", "has no column source", f"Begin with a line of column names: {','.join(COLUMNS)}"
        )
    return columns


def _row(line: int, columns: list[str], cells: list[str]) -> CameraRow:
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        raise _Bad(
            "row", f"has {len(cells)} cells, and there are {len(columns)} columns", "Quote cells that hold a separator."
        )
    # Spreadsheets like spaces that do not break.
    given = {name: cell.replace("\xa0", " ").strip() for name, cell in zip(columns, cells, strict=False) if name}
    for name, cell in given.items():
        if not cell.isprintable():
            raise _Bad(name, "holds a control character or a line end", "Remove it.")
    source = given["source"] if given.get("source") else ""
    if not source:
        raise _Bad("source", "is empty", "Give rtsp://…, http://… or the path of a video file.")
    if f"={HIDDEN}" in source:
        raise _Bad(
            f'source "{redact_url(source)}"', "has a secret that was taken out of the listing", "Write the secret in."
        )
    try:
        (named,) = parse_sources([source])
    except InvalidArgument as error:
        raise _Bad(error.thing, error.reason, error.remedy) from None
    display_name = given.get("display_name", "")
    camera = given.get("id", "") or slug(display_name) or named.id
    if not is_camera_id(camera):
        raise _Bad(f'id "{camera[:80]}"', CAMERA_ID_RULE, "Put any other text into display_name.")
    transport = given.get("transport", "").lower() or "auto"
    if transport not in TRANSPORTS:
        raise _Bad(f'transport "{transport[:40]}"', "is none", f"Write one of {', '.join(TRANSPORTS)}.")
    fingerprint = re.sub(r"[\s:-]", "", given.get("tls_sha256", "").lower())
    if fingerprint and not re.fullmatch(r"[0-9a-f]{64}", fingerprint):
        raise _Bad("tls_sha256", "is not 64 hexadecimal digits", "Give the SHA-256 of the camera's certificate.")
    disabled = given.get("disabled", "").lower()
    if disabled not in _YES | _NO:
        raise _Bad(f'disabled "{disabled[:40]}"', "is neither yes nor no", "Write yes or no.")
    labels = _labels(given)
    return CameraRow(
        line,
        camera,
        named.source,
        display_name,
        labels,
        transport,
        fingerprint,
        given.get("device", ""),
        disabled in _YES,
    )


def _labels(given: Mapping[str, str]) -> dict[str, str]:
    labels = {}
    for part in given.get("labels", "").split(";"):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise _Bad(
                f'label "{part.strip()[:60]}"', "is not KEY=VALUE", "Write floor=2;wing=north, or a column label:floor."
            )
        labels[key.strip()] = value.strip()
    for name, cell in given.items():
        if name.startswith(_LABEL) and cell:
            labels[name[len(_LABEL) :]] = cell
    return labels
