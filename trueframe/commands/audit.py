"""`trueframe audit`: who changed what and who looked at which pictures, listed, verified and exported.

Reads the files of a data folder: what is verified must not come from the service that is verified. What should not be
in this module: what an entry says (`mesh.audit`), how entries are bound to each other (`mesh.audit_book`).
"""

from __future__ import annotations

import csv
import heapq
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mesh.csv_cells import cell
from mesh.errors import DataLoss, InvalidArgument, NotFound
from trueframe.commands.options import Moment, data_option, json_option, require_folder, show_json, show_table
from trueframe.layout import layout_of
from trueframe.times import show_time

_COLUMNS = ("at", "service", "n", "who", "role", "token", "peer", "rpc", "kind", "object", "outcome", "before", "after")


@click.group("audit")
def command() -> None:
    """Say who changed what and who looked at which pictures, and prove that nothing of that was altered."""


def _logs(data: str, services: tuple[str, ...]) -> dict[str, Path]:
    folder = layout_of(data).data / "audit"
    found = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()} if folder.is_dir() else {}
    if not found:
        raise NotFound(f"audit logs in {folder}", "are not there", "Name the data folder of the services with --data.")
    for service in services:
        if service not in found:
            raise InvalidArgument(f"service {service!r}", "has no audit log here", f"There are: {', '.join(found)}.")
    return {name: path for name, path in found.items() if not services or name in services}


def _entries(logs: dict[str, Path], from_ns: int) -> Iterator[dict[str, Any]]:
    """Entries of all logs, newest first."""
    from mesh.audit import AUDIT
    from mesh.audit_book import newest_first

    def of(name: str, folder: Path) -> Iterator[dict[str, Any]]:
        for line in newest_first(AUDIT, folder):
            if line["at_ns"] < from_ns:
                return
            yield {**line, "service": name, "at": show_time(line["at_ns"])}

    yield from heapq.merge(*(of(*one) for one in logs.items()), key=lambda one: one["at_ns"], reverse=True)


_service = click.option(
    "--service", "services", multiple=True, help="Only of this service; may be given several times."
)
_from = click.option(
    "--from", "from_ns", type=Moment(), default=0, metavar="TIME", help='At or after: "-10m", "12:30".'
)


@command.command("list")
@_service
@_from
@click.option("--who", default="", help="Only of this user.")
@click.option("--object", "thing", default="", help="Only what names this camera, event or the like.")
@click.option("--changes", "is_changes", is_flag=True, help="Changes alone, no views.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most this many.")
@json_option
@data_option
def list_entries(
    data: str,
    services: tuple[str, ...],
    from_ns: int,
    who: str,
    thing: str,
    is_changes: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List entries of all services, newest first: changes, views, and what was refused."""
    found: list[dict[str, Any]] = []
    for one in _entries(_logs(data, services), from_ns):
        named = one["object"].replace("/", " ").split()
        if (who and one["who"] != who) or (thing and thing not in named) or (is_changes and one["kind"] != "change"):
            continue
        found.append(one)
        if len(found) == limit:
            break
    if as_json:
        for one in found:
            show_json(one)
        return
    rows = [
        (one["at"], one["service"], one["who"] or "-", one["role"] or "-", one["rpc"].rpartition("/")[2],
         one["object"] or "-", one["outcome"], one["after"][:80])
        for one in found
    ]  # fmt: skip
    show_table(("AT", "SERVICE", "WHO", "ROLE", "RPC", "OBJECT", "OUTCOME", "REQUEST"), rows)


@command.command("verify")
@_service
@click.option("--key", type=click.Path(path_type=Path), help="Public key that heads are signed with; that of the data.")
@json_option
@data_option
def verify(data: str, services: tuple[str, ...], key: Path | None, as_json: bool) -> None:
    """Check that every entry is there as it was written. Exit code 1 if one is not.

    Give a copy of keys/audit-signing.pub that you keep elsewhere with --key: whoever can write the data folder could
    put another key there.
    """
    from mesh.audit import AUDIT
    from mesh.audit_book import verify_log
    from mesh.audit_key import PUBLIC_NAME, judge_of

    judge = judge_of(key or layout_of(data).keys / PUBLIC_NAME)
    altered = []
    for name, folder in _logs(data, services).items():
        report = verify_log(AUDIT, folder, judge)
        altered += [name] if report.findings else []
        if as_json:
            show_json(
                {"service": name, "entries": report.entries, "missing": report.missing, "findings": report.findings}
            )
            continue
        state = "NOT as written" if report.findings else "whole"
        lost = f", {report.missing} could not be written when they happened" if report.missing else ""
        click.echo(f"{name}: {state}, {report.entries} entries{lost}")
        for finding in report.findings:
            click.echo(f"  {finding}")
    if altered:
        raise DataLoss(f"audit log of {', '.join(altered)}", "is not as it was written")


@command.command("export")
@_service
@_from
@click.option("-o", "--output", required=True, metavar="FILE", help="A .csv file, or .jsonl with one object a line.")
@data_option
def export(data: str, services: tuple[str, ...], from_ns: int, output: str) -> None:
    """Write entries of all services into a file, oldest first."""
    require_folder(output)
    path = Path(output)
    if path.suffix not in (".csv", ".jsonl"):
        raise InvalidArgument(f"file {path}", "ends neither with .csv nor with .jsonl")
    rows = list(_entries(_logs(data, services), from_ns))[::-1]
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows({name: cell(row[name]) for name in _COLUMNS} for row in rows)
    click.echo(f"{path}: {len(rows)} entries")
