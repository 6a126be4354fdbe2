"""`trueframe rules`: whether rules can be put into force, and how they read in normal form."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, TextIO

import click

from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import data_option, json_option, show_json

if TYPE_CHECKING:
    from trueframe.v1.inspection_pb2 import Inspection


@click.group("rules")
def command() -> None:
    """Check the rules of the detector `rules`. Their language is told in docs/guide/rules.md."""


@command.command("check")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--inspection", metavar="CAMERA.DETECTOR", help="Check names of zones and lines against this one's.")
@click.option("--zone", "zones", multiple=True, help="A zone that there is; may be given several times.")
@click.option("--line", "lines", multiple=True, help="A line that there is; may be given several times.")
@json_option
@data_option
def check(
    data: str, file: TextIO, inspection: str | None, zones: tuple[str, ...], lines: tuple[str, ...], as_json: bool
) -> None:
    """Check a FILE of rules, or a TOML file of options that has them; - reads standard input.

    Prints them in normal form. A mistake is shown with its line and a mark under it.
    """
    from detector_pool.client import check_rules, printed_rules

    text = _rules_in(file)
    # One kind that is told tells that there are none of the other.
    zone_names, line_names = (list(zones), list(lines)) if zones or lines else (None, None)
    if inspection is not None:
        zone_names, line_names = _names_of(data, inspection)
    try:
        rules = check_rules(text, zone_names, line_names)
    except InvalidArgument as error:
        if as_json:
            show_json({"ok": False, "error": str(error)})
        else:
            # Its lines are kept: the mark stands under the mistake.
            click.echo(f"trueframe: {error}", err=True)
        raise click.exceptions.Exit(2) from None
    if as_json:
        show_json({"ok": True, "rules": [rule.name for rule in rules], "text": printed_rules(rules)})
    else:
        click.echo(printed_rules(rules), nl=False)


def _rules_in(file: TextIO) -> str:
    try:
        text = file.read(1 << 20)
    except UnicodeDecodeError:
        raise InvalidArgument(file.name, "is no UTF-8 text", "Save it as UTF-8.") from None
    if not str(file.name).endswith(".toml"):
        return text
    try:
        rules = tomllib.loads(text).get("rules")
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(str(file.name), f"is no TOML: {error}") from None
    if not isinstance(rules, str):
        raise InvalidArgument(str(file.name), "has no rules", 'Write them as rules = """…""".')
    return rules


def _names_of(data: str, inspection: str) -> tuple[list[str], list[str]]:
    """Names of the zones and of the lines of an inspection. Raises NotFound."""
    from trueframe.client import connect
    from trueframe.v1.inspection_pb2 import RegionUse

    with connect(data) as tf:
        known: dict[str, Inspection] = {one.inspection.id: one.inspection for one in tf.inspections.list()}
    if inspection not in known:
        raise NotFound(f"inspection {inspection}", "does not exist", "`trueframe inspections list` shows them.")
    regions = known[inspection].regions
    is_line = RegionUse.REGION_USE_LINE
    return (
        [one.name for one in regions if one.use != is_line and one.name],
        [one.name for one in regions if one.use == is_line and one.name],
    )
