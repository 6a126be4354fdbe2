"""`trueframe cameras import` and `export`: many cameras as a CSV file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.errors import InvalidArgument, TrueframeError
from trueframe.camera_table import BadLine, CameraRow, read_table, write_table
from trueframe.commands.options import data_option, json_option, show_json, show_table

if TYPE_CHECKING:
    from broker.client import Camera
    from trueframe.client import Client

# Worth a bar of its own; below it would only flash by.
_MANY = 5


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--skip-bad", is_flag=True, help="Add the good lines even if others are bad.")
@json_option
@data_option
def import_cameras(data: str, file: Path, dry_run: bool, skip_bad: bool, as_json: bool) -> None:
    """Add the cameras of a CSV FILE (- is stdin); nothing is added if one line is bad.

    Columns: id, source, display_name, labels (floor=2;wing=north) or label:KEY, transport, tls_sha256, device,
    disabled. Cameras that exist are left as they are. Exit code 1 if not every line is a camera now.
    """
    from trueframe.client import connect

    rows, bad = read_table(_read(file))
    for line in bad:
        click.echo(f"{file}, {line}", err=True)
    if bad and not skip_bad:
        if as_json:
            for line in bad:
                show_json(_bad_record(line))
        raise InvalidArgument(
            f"{file}", f"has {len(bad)} bad line{'s' if len(bad) > 1 else ''}; nothing was added",
            "Mend them, or add the others with --skip-bad.",
        )  # fmt: skip
    with connect(data) as tf:
        results = _add_all(tf, rows, dry_run)
    if as_json:
        for row, result, detail in results:
            show_json({"line": row.line, "id": row.id, "result": result, "detail": detail})
        for line in bad:
            show_json(_bad_record(line))
    else:
        show_table(("LINE", "ID", "RESULT", "DETAIL"), [(row.line, row.id, *rest) for row, *rest in results])
    if bad or any(result in ("differs", "failed") for _, result, _ in results):
        raise click.exceptions.Exit(1)


@click.command("export")
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to; stdout when left out.")
@data_option
def export_cameras(data: str, output: str) -> None:
    """Write all cameras as CSV, without credentials: `import` takes it back."""
    from trueframe.client import connect

    with connect(data) as tf:
        text = write_table(row_of(camera) for camera in tf.broker.list_cameras())
    if output == "-":
        click.echo(text, nl=False)
    else:
        Path(output).write_text(text, encoding="utf-8")


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    if not file.is_file():
        raise InvalidArgument(f"{file}", "there is no such file", "Give the path of a CSV file, or - for stdin.")
    return file.read_bytes()


def row_of(camera: Camera) -> CameraRow:
    """A camera as the broker tells it, as a row."""
    from trueframe.sights import transport_name

    spec = camera.spec
    name = "" if spec.display_name == spec.id else spec.display_name
    return CameraRow(
        0, spec.id, spec.source, name, dict(spec.labels), transport_name(spec.transport), spec.tls_sha256,
        spec.device, spec.disabled,
    )  # fmt: skip


def _add_all(tf: Client, rows: list[CameraRow], dry_run: bool) -> list[tuple[CameraRow, str, str]]:
    present = {camera.spec.id: row_of(camera) for camera in tf.broker.list_cameras()}
    results: list[tuple[CameraRow, str, str]] = []
    is_short = dry_run or len(rows) < _MANY
    with click.progressbar(rows, label="adding cameras", file=sys.stderr, hidden=is_short) as bar:
        results.extend((row, *_add_one(tf, row, present, dry_run)) for row in bar)
    return results


def _add_one(tf: Client, row: CameraRow, present: dict[str, CameraRow], dry_run: bool) -> tuple[str, str]:
    existing = present.get(row.id)
    if existing is not None:
        different = row.differences(existing)
        if not different:
            return "exists", ""
        return "differs", f"{', '.join(different)}; left as it is, `trueframe cameras set {row.id}` changes it"
    if dry_run:
        return "would add", ""
    try:
        tf.broker.add_camera(
            row.id,
            row.source,
            display_name=row.display_name,
            labels=row.labels,
            disabled=row.disabled,
            transport=row.transport,
            tls_sha256=row.tls_sha256,
            device=row.device,
        )
    except TrueframeError as error:
        return "failed", " ".join(str(error).split())
    return "added", ""


def _bad_record(line: BadLine) -> dict[str, object]:
    return {
        "line": line.line,
        "id": None,
        "result": "bad",
        "detail": f"{line.thing}: {line.reason}. {line.remedy}".strip(),
    }
