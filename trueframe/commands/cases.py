"""`trueframe cases`: open, list, show, add, remove, note, rename, close, reopen, export, verify."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesh.errors import AlreadyExists, DataLoss, NotFound
from trueframe.commands.options import Moment, data_option, json_option, require_folder, show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from trueframe.case_folder import CaseFolder
    from trueframe.client import Client
    from trueframe.v1.cases_pb2 import Case, CaseClip
    from trueframe.v1.events_pb2 import Event

_clip_option = click.option(
    "--clip", "clips", type=(str, Moment(), Moment()), multiple=True, metavar="CAMERA FROM TO",
    help="Footage; may be given several times.",
)  # fmt: skip


@click.group("cases")
def command() -> None:
    """Open, fill, close and export cases: events, clips and notes that belong together."""


@command.command("open")
@click.argument("title")
@click.option("--event", "events", multiple=True, help="An event that belongs to it; may be given several times.")
@_clip_option
@click.option("--note", default="", help="A first note.")
@json_option
@data_option
def open_case(
    data: str, title: str, events: tuple[str, ...], clips: tuple[tuple[str, int, int], ...], note: str, as_json: bool
) -> None:
    """Open a case."""
    from trueframe.client import connect

    with connect(data) as tf:
        case = tf.cases.open(title)
        if events or clips or note:
            case = tf.cases.change(case.id, add_events=events, add_clips=_clips(clips), note=note)
    _show_change(case, as_json)


@command.command("list")
@click.option("--all", "include_closed", is_flag=True, help="Closed ones, too.")
@click.option("--query", default="", help="Only what holds all of this, in any script.")
@json_option
@data_option
def list_cases(data: str, include_closed: bool, query: str, as_json: bool) -> None:
    """List cases, changed last first."""
    from trueframe.client import connect
    from trueframe.commands.records_cases import case_record

    with connect(data) as tf:
        cases = tf.cases.list(query=query, include_closed=include_closed)
    if as_json:
        for case in cases:
            show_json(case_record(case))
        return
    rows = [(one.id, show_time(one.changed_ns), "open" if one.open else "closed", len(one.events), len(one.clips),
             one.title + (f" ({one.outcome})" if one.outcome else "")) for one in cases]  # fmt: skip
    show_table(("ID", "CHANGED", "STATE", "EVENTS", "CLIPS", "TITLE"), rows)


@command.command("show")
@click.argument("case")
@json_option
@data_option
def show_case(data: str, case: str, as_json: bool) -> None:
    """Show a case with all that was done to it."""
    from trueframe.client import connect
    from trueframe.commands.records_cases import case_lines, case_record

    with connect(data) as tf:
        found = tf.cases.get(case)
    if as_json:
        show_json(case_record(found))
    else:
        click.echo("\n".join(case_lines(found)))


@command.command("add")
@click.argument("case")
@click.option("--event", "events", multiple=True, help="An event; may be given several times.")
@_clip_option
@json_option
@data_option
def add_to_case(
    data: str, case: str, events: tuple[str, ...], clips: tuple[tuple[str, int, int], ...], as_json: bool
) -> None:
    """Put events and clips into a case."""
    _change(data, case, as_json, add_events=events, add_clips=_clips(clips))


@command.command("remove")
@click.argument("case")
@click.option("--event", "events", multiple=True, help="An event; may be given several times.")
@_clip_option
@json_option
@data_option
def remove_from_case(
    data: str, case: str, events: tuple[str, ...], clips: tuple[tuple[str, int, int], ...], as_json: bool
) -> None:
    """Take events and clips out of a case. Its records still tell of them."""
    _change(data, case, as_json, remove_events=events, remove_clips=_clips(clips))


@command.command("note")
@click.argument("case")
@click.argument("text")
@json_option
@data_option
def note_case(data: str, case: str, text: str, as_json: bool) -> None:
    """Write a note into a case."""
    _change(data, case, as_json, note=text)


@command.command("rename")
@click.argument("case")
@click.argument("title")
@json_option
@data_option
def rename_case(data: str, case: str, title: str, as_json: bool) -> None:
    """Give a case another title."""
    _change(data, case, as_json, title=title)


@command.command("close")
@click.argument("case")
@click.argument("outcome")
@json_option
@data_option
def close_case(data: str, case: str, outcome: str, as_json: bool) -> None:
    """Close a case with its OUTCOME."""
    _change(data, case, as_json, close_with=outcome)


@command.command("reopen")
@click.argument("case")
@json_option
@data_option
def reopen_case(data: str, case: str, as_json: bool) -> None:
    """Open a closed case again."""
    _change(data, case, as_json, reopen=True)


@command.command("export")
@click.argument("case")
@click.option("-o", "--output", default="", metavar="FOLDER", help="A new folder; case-ID without.")
@click.option("--event-clips", is_flag=True, help="Also the clips that are held for its events.")
@json_option
@data_option
def export_case(data: str, case: str, output: str, event_clips: bool, as_json: bool) -> int:
    """Write a case into one folder: events, records, notes, verified clips, and a manifest of it all.

    Exit code 1 if a clip could not be had: the manifest says which, and why.
    """
    from trueframe.case_folder import CaseFolder
    from trueframe.client import connect

    target = Path(output or f"case-{case}")
    require_folder(str(target))
    if target.exists():
        raise AlreadyExists(f"folder {target}", "is there already", "Name a new one with -o.")
    with connect(data) as tf:
        found = tf.cases.get(case)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            folder = CaseFolder(work)
            events = _write_papers(tf, folder, found)
            _write_clips(tf, folder, found, events if event_clips else [])
            manifest = folder.finish(found.id, time.time_ns())
            work.chmod(0o755)
            work.rename(target)
        finally:
            if work.exists():
                shutil.rmtree(work)
    if as_json:
        show_json({"folder": str(target), **manifest})
    else:
        click.echo(f"{target}: {len(manifest['files'])} files, named with their digests in {target / 'manifest.json'}")
        for one in manifest["missing"]:
            click.echo(f"missing: {one['clip']}: {one['reason']}", err=True)
    return 1 if manifest["missing"] else 0


@command.command("verify")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
@data_option
def verify_case(data: str, folder: Path, as_json: bool) -> None:
    """Check that the FOLDER of a case is what was exported, its clips included. Needs no running instance."""
    from trueframe.case_folder import check

    manifest = check(folder)
    outcomes = {path.name: _verified(path, data) for path in sorted((folder / "clips").glob("*"))}
    if as_json:
        show_json({"folder": str(folder), "files": len(manifest["files"]), "clips": outcomes})
        return
    click.echo(f"{folder}: {len(manifest['files'])} files are as the manifest says")
    for name, outcome in outcomes.items():
        click.echo(f"clip {name}: {outcome}")


def _write_papers(tf: Client, folder: CaseFolder, case: Case) -> list[Event]:
    from trueframe.commands.records import deed_record, event_record
    from trueframe.commands.records_cases import case_lines, case_record, event_lines

    folder.write("case", case_record(case), case_lines(case))
    events: list[Event] = []
    records: list[dict[str, object]] = []
    text: list[str] = []
    for event_id in case.events:
        try:
            event, deeds = tf.events.get(event_id), tf.events.records(event_id)
        except NotFound as error:
            records.append({"id": event_id, "missing": str(error)})
            text += [f"{event_id}: {error}", ""]
            continue
        events.append(event)
        records.append({**event_record(event), "records": [deed_record(one) for one in deeds]})
        text += [*event_lines(event, deeds), ""]
    folder.write("events", records, text)
    return events


def _write_clips(tf: Client, folder: CaseFolder, case: Case, events: list[Event]) -> None:
    from media_center.client import footage_range

    ranges = [(one.camera, one.from_ns, one.to_ns) for one in case.clips]
    ranges += [(one.camera, one.clip.from_ns, one.clip.to_ns) for one in events if one.HasField("clip")]
    (folder.path / "clips").mkdir()
    for number, (camera, from_ns, to_ns) in enumerate(dict.fromkeys(ranges), 1):
        place = folder.path / "clips" / f"{number}-{camera}"
        try:
            tf.footage.export_package([footage_range(camera, from_ns, to_ns)], place, purpose=f"case {case.id}")
        except NotFound as error:
            clip = f"{camera} {show_time(from_ns)} to {show_time(to_ns)}"
            folder.missing.append({"clip": clip, "reason": str(error)})
            continue
        _verified(place, tf.running.data)


def _verified(place: Path, data: str) -> str:
    """How an export of footage stands, in words. Raises DataLoss if it is broken."""
    from media_center.client import read_trusted, verify_paths, worst
    from trueframe.layout import layout_of

    ring = layout_of(data).keys / "footage-keys.json"
    reports = verify_paths([place], read_trusted((ring,) if ring.exists() else ()))
    outcome = worst(reports)
    if outcome == 2:
        found = next((finding.text() for report in reports for finding in report.findings), outcome.text)
        raise DataLoss(f"clip {place}", f"is broken: {found}", "Export the case again.")
    return outcome.text


def _clips(clips: tuple[tuple[str, int, int], ...]) -> list[CaseClip]:
    from trueframe.v1.cases_pb2 import CaseClip

    return [CaseClip(camera=camera, from_ns=from_ns, to_ns=to_ns) for camera, from_ns, to_ns in clips]


def _change(data: str, case: str, as_json: bool, **change: Any) -> None:
    from trueframe.client import connect

    with connect(data) as tf:
        _show_change(tf.cases.change(case, **change), as_json)


def _show_change(case: Case, as_json: bool) -> None:
    from trueframe.commands.records_cases import case_record

    if as_json:
        show_json(case_record(case))
        return
    state = "open" if case.open else f"closed: {case.outcome}"
    click.echo(f"{case.id}: {case.title}, {len(case.events)} events, {len(case.clips)} clips, {state}")
