"""`trueframe retention`: show, set, plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from mesh.amounts import amount
from mesh.errors import InvalidArgument
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import parse_duration, show_duration, show_time

if TYPE_CHECKING:
    from trueframe.v1.footage_pb2 import RetentionRule, RetentionState, RetentionStep

_NO_BOUND = ("none", "never", "0")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class Age(click.ParamType[int]):
    """A duration in whole seconds; 0 for no bound."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads "30d", "12h" or "none"."""
        if isinstance(value, int):
            return value
        text = str(value).strip().lower()
        return 0 if text in _NO_BOUND else max(1, round(parse_duration(text)))


class Size(click.ParamType[int]):
    """An amount of bytes; 0 for no bound."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads "500GB", "2TiB", a number of bytes, or "none"."""
        if isinstance(value, int):
            return value
        text = str(value).strip().lower()
        if text in _NO_BOUND:
            return 0
        found = _SIZE.fullmatch(text)
        if found is None:
            raise InvalidArgument(f'size "{value}"', "cannot be read", 'Write "500GB", "2TiB" or "none".')
        size: float = float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2]]
        return round(size)


@click.group("retention")
def command() -> None:
    """Show, set and plan how long footage is kept."""


@command.command("show")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@json_option
@data_option
def show_retention(data: str, cameras: tuple[str, ...], as_json: bool) -> None:
    """Show the rule of each camera and what it has on disk."""
    from trueframe.client import connect

    with connect(data) as tf:
        found = tf.footage.retention(cameras)
    if as_json:
        show_json({"camera": None} | rule_record(found.common))
        for state in found.cameras:
            show_json(state_record(state))
        return
    click.echo(f"common rule: {_rule_text(found.common)}")
    show_table(
        ("CAMERA", "RULE", "ON DISK", "HELD", "MOVED", "A DAY", "OLDEST"),
        [
            (
                state.rule.camera,
                "common" if state.is_common else _rule_text(state.rule),
                amount(state.bytes, "bytes"),
                amount(state.held_bytes, "bytes") if state.held_bytes else "-",
                amount(state.moved_bytes, "bytes") if state.moved_bytes else "-",
                amount(state.bytes_per_day, "bytes"),
                show_time(state.oldest_ns) if state.oldest_ns else "-",
            )
            for state in found.cameras
        ],
    )


@command.command("set")
@click.argument("camera", required=False)
@click.option("--common", is_flag=True, help="The rule of every camera that has none of its own.")
@click.option("--age", "max_age_s", type=Age(), metavar="AGE", help='Older footage goes: "30d", "none".')
@click.option("--size", "max_bytes", type=Size(), metavar="SIZE", help='Beyond it the oldest goes: "500GB", "none".')
@click.option("--move-after", "move_after_s", type=Age(), metavar="AGE", help="Of this age it goes to the second tier.")
@click.option("--reset", is_flag=True, help="Back to the common rule; with --common, to that of the configuration.")
@json_option
@data_option
def set_retention(
    data: str, camera: str | None, common: bool, max_age_s: int | None, max_bytes: int | None,
    move_after_s: int | None, reset: bool, as_json: bool,
) -> None:  # fmt: skip
    """Change how long footage of a camera is kept; what is not given stays. Held footage stays whatever the rule."""
    from trueframe.client import connect

    if common == (camera is not None):
        raise click.UsageError("Name a camera, or give --common.")
    changes = {"max_age_s": max_age_s, "max_bytes": max_bytes, "move_after_s": move_after_s}
    given = {name: value for name, value in changes.items() if value is not None}
    if reset == bool(given):
        raise click.UsageError("Give --age, --size or --move-after, or else --reset.")
    with connect(data) as tf:
        if reset:
            rule = tf.footage.reset_retention(camera or "")
        else:
            # A camera of which nothing is recorded yet begins with the common rule.
            known = tf.footage.retention()
            own = next((one.rule for one in known.cameras if one.rule.camera == camera), known.common)
            before = {name: int(getattr(own, name)) for name in changes}
            rule = tf.footage.put_retention(camera or "", **(before | given))
    if as_json:
        show_json({"camera": camera} | rule_record(rule))
    else:
        click.echo(f"{camera or 'common rule'}: {_rule_text(rule)}")


@command.command("plan")
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be given several times.")
@click.option("--ahead", "ahead_s", type=Age(), default=7 * 86_400, metavar="AGE", help="How far ahead; 7 days if not.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most this many.")
@json_option
@data_option
def plan_retention(data: str, cameras: tuple[str, ...], ahead_s: int, limit: int, as_json: bool) -> None:
    """Show what will be deleted or moved and when, soonest first, and what stays because it is held.

    Times of what depends on how fast footage grows are estimates.
    """
    from trueframe.client import connect

    with connect(data) as tf:
        steps = tf.footage.plan_retention(cameras, ahead_s)
    if as_json:
        for step in steps[:limit]:
            show_json(step_record(step))
        return
    show_table(
        ("WHEN", "WHAT", "CAMERA", "FROM", "TO", "SIZE", "WHY"),
        [
            (
                show_time(step.due_ns),
                _action(step),
                step.camera,
                show_time(step.from_ns),
                show_time(step.to_ns),
                amount(step.size_bytes, "bytes"),
                step.reason,
            )
            for step in steps[:limit]
        ],
    )
    if len(steps) > limit:
        click.echo(f"... and {len(steps) - limit} more: --limit shows them")
    elif not steps:
        click.echo(f"Nothing goes within {show_duration(ahead_s)}.")


def _action(step: RetentionStep) -> str:
    from trueframe.v1.footage_pb2 import RetentionAction

    return RetentionAction.Name(step.action).removeprefix("RETENTION_ACTION_").lower()


def _rule_text(rule: RetentionRule) -> str:
    parts = []
    if rule.max_age_s:
        parts.append(f"{show_duration(rule.max_age_s)} old at most")
    if rule.max_bytes:
        parts.append(f"{amount(rule.max_bytes, 'bytes')} at most")
    if rule.move_after_s:
        parts.append(f"moved after {show_duration(rule.move_after_s)}")
    return ", ".join(parts) or "no bound"


def rule_record(rule: RetentionRule) -> dict[str, object]:
    """A rule as JSON; 0 is no bound."""
    return {"max_age_s": rule.max_age_s, "max_bytes": rule.max_bytes, "move_after_s": rule.move_after_s}


def state_record(state: RetentionState) -> dict[str, object]:
    """A camera's rule and what it has, as JSON."""
    return {
        "camera": state.rule.camera,
        **rule_record(state.rule),
        "is_common": state.is_common,
        "bytes": state.bytes,
        "held_bytes": state.held_bytes,
        "moved_bytes": state.moved_bytes,
        "segments": state.segments,
        "bytes_per_day": state.bytes_per_day,
        "oldest_ns": state.oldest_ns,
        "oldest": show_time(state.oldest_ns) if state.oldest_ns else None,
    }


def step_record(step: RetentionStep) -> dict[str, object]:
    """A step of a plan as JSON."""
    from trueframe.commands.records import frame_id

    return {
        "action": _action(step),
        "camera": step.camera,
        "first": frame_id(step.first),
        "from_ns": step.from_ns,
        "from": show_time(step.from_ns),
        "to_ns": step.to_ns,
        "to": show_time(step.to_ns),
        "size_bytes": step.size_bytes,
        "due_ns": step.due_ns,
        "due": show_time(step.due_ns),
        "reason": step.reason,
    }
