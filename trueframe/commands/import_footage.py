"""`trueframe import`: a video file becomes footage, is inspected faster than real time, and a report is written."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.config import AggregateConfig
from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import Moment, data_option, json_option, show_json
from trueframe.times import show_time

if TYPE_CHECKING:
    from aggregate.client import Inspection
    from detector_pool.client import LoadedModel
    from media_center.client import ImportedFile, SyncFootageClient
    from trueframe.client import Client
    from trueframe.commands.import_report import Subject


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--camera", required=True, metavar="NAME", help="The camera that it becomes footage of; not a live one.")
@click.option(
    "--start",
    "start_ns",
    type=Moment(),
    metavar="TIME",
    help='Its first picture: "2026-11-20T12:30:05+01:00", local time without zone. Left out: what the file says.',
)
@click.option(
    "--inspect",
    "wanted",
    multiple=True,
    metavar="DETECTOR[@MODEL]",
    help="With which; left out: those of --like, or those that every camera gets.",
)
@click.option(
    "--like", metavar="CAMERA", help="Inspect as this camera is: its regions, options, models and thresholds."
)
@click.option("--no-inspect", is_flag=True, help="Only import.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A new or empty folder for it; NAME-FILE-report here if left out.",
)
@json_option
@data_option
def command(
    data: str,
    file: Path,
    camera: str,
    start_ns: int | None,
    wanted: tuple[str, ...],
    like: str | None,
    no_inspect: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Make footage of the video FILE, inspect it, and write a report of what happened with stills.

    H.264, H.265 and Motion JPEG in MP4, MOV, MKV, AVI, TS or raw; nothing is re-encoded. All of it becomes footage or
    nothing does.
    """
    from detector_pool.client import made_for, models_of
    from media_center.client import creation_time
    from trueframe.client import connect
    from trueframe.commands.import_report import Subject
    from trueframe.commands.which_model import opened_model

    if no_inspect and (wanted or like is not None or report is not None):
        raise InvalidArgument(
            "--no-inspect", "is at odds with --inspect, --like and --report", "Leave it out, or them."
        )
    folder = None if no_inspect else _report_folder(report, camera, file)
    with connect(data) as tf:
        models = cache(lambda name: opened_model(tf, name))
        inspections = [] if folder is None else _inspections(tf, camera, wanted, like)
        for one in inspections:
            # What cannot be carried out is told before hours of work.
            made_for(one, [models(name) for name in models_of(one)])
        if start_ns is None:
            start_ns = creation_time(file)
            if start_ns is None:
                remedy = "Give --start: the time of its first picture."
                raise InvalidArgument(f"file {file}", "does not say when it was recorded", remedy)
            click.echo(f"{file.name} says that it begins {show_time(start_ns)}; --start tells otherwise", err=True)
        began_s = time.monotonic()
        with _told_if_interrupted(lambda: _how_far(tf.footage, file, camera, start_ns)):
            imported = _import(tf.footage, file, camera, start_ns, is_shown=_is_shown(as_json))
        import_s = time.monotonic() - began_s
        subject = Subject.of(tf.footage, file, imported, import_s)
        if as_json:
            show_json(subject.record())
        else:
            click.echo(subject.sentence())
            for note in imported.notes:
                click.echo(f"  {note}")
        if folder is not None:
            left = f"{file.name} is footage of {camera}; it was not inspected to its end, and there is no whole report."
            with _told_if_interrupted(lambda: left):
                _inspect(tf, subject, inspections, models, folder, as_json=as_json)


@contextlib.contextmanager
def _told_if_interrupted(left: Callable[[], str]) -> Iterator[None]:
    """Says on Ctrl-C how things were left."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted. {left()}", err=True)
        raise


def _how_far(footage: SyncFootageClient, file: Path, camera: str, start_ns: int) -> str:
    """Whether an import that was interrupted had happened: all of it or nothing."""
    with contextlib.suppress(NotFound):
        if footage.recordings([camera], start_ns, start_ns).recordings:
            return f"{file.name} had become footage of {camera} already; it was not inspected."
    return f"Nothing of {file.name} became footage."


def _report_folder(report: Path | None, camera: str, file: Path) -> Path:
    """The folder for the report, before any work. Raises InvalidArgument."""
    folder = report or Path(f"{camera}-{file.stem}-report")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidArgument(f"folder {folder}", "exists and is not empty", "Name another with --report.")
    if not folder.absolute().parent.is_dir():
        raise InvalidArgument(f"folder {folder}", f"there is no folder {folder.parent}", "Make it first.")
    return folder


def _inspections(tf: Client, camera: str, wanted: tuple[str, ...], like: str | None) -> list[Inspection]:
    """What the footage of a camera is inspected with. Raises NotFound, InvalidArgument."""
    from detector_pool.client import moved_to
    from trueframe.v1.inspection_pb2 import Inspection

    views = [one for one in _of_camera(tf, like) if not one.disabled] if like is not None else []
    if not wanted and views:
        return [moved_to(one, camera) for one in views]
    found = []
    for text in dict.fromkeys(wanted or AggregateConfig().default_detectors):
        detector, at, model = text.partition("@")
        if at and not model:
            raise InvalidArgument(f"--inspect {text}", "names no model", "For example --inspect objects@yolox-nano.")
        of_it = [moved_to(one, camera) for one in views if one.detector == detector]
        of_it = of_it or [Inspection(id=f"{camera}.{text}", camera=camera, detector=detector)]
        for one in of_it:
            one.model = model or one.model
        found += of_it
    return found


def _of_camera(tf: Client, camera: str) -> list[Inspection]:
    """Inspections of a camera. Raises NotFound."""
    found = [one.inspection for one in tf.inspections.list() if one.inspection.camera == camera]
    if not found:
        raise NotFound(
            f"camera {camera!r}", "has no inspections", "`trueframe inspections list` shows those there are."
        )
    return [one for one in found if not one.shadow_of]


def _inspect(
    tf: Client,
    subject: Subject,
    inspections: list[Inspection],
    models: Callable[[str], LoadedModel],
    folder: Path,
    *,
    as_json: bool,
) -> None:
    from detector_pool.client import inspect_footage
    from trueframe.commands.import_report import write_report

    imported = subject.imported
    detectors = [one.id.removeprefix(f"{one.camera}.") for one in inspections]
    with _bar(f"inspecting {imported.first.camera}", is_shown=_is_shown(as_json)) as show:
        inspected = inspect_footage(
            tf.footage, imported.first, imported.last, inspections, models=models, progress=show
        )
    stills = write_report(folder, tf.footage, subject, detectors, inspected)
    if as_json:
        for still in stills:
            show_json({"kind": "moment", **still.record()})
        show_json({"kind": "report", "folder": str(folder), **subject.inspection_record(detectors, inspected)})
        return
    click.echo(subject.inspection_sentence(detectors, inspected))
    for still in stills:
        click.echo(f"  {still.sentence()}")
    click.echo(f"report: {folder / 'report.txt'}")


def _import(footage: SyncFootageClient, file: Path, camera: str, start_ns: int, *, is_shown: bool) -> ImportedFile:
    with _bar(f"importing {file.name}", is_shown=is_shown) as show:
        return footage.import_file(file, camera, start_ns, lambda sent, size, _: show(sent, size))


def _is_shown(as_json: bool) -> bool:
    return not as_json and sys.stderr.isatty()


@contextlib.contextmanager
def _bar(label: str, *, is_shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar if a human sees it; what it gives is told how far it is, and of how much."""
    if not is_shown:
        yield lambda done, whole: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, whole: int) -> None:
            bar.length = max(whole, 1)
            bar.update(min(done, whole) - bar.pos)

        yield show
