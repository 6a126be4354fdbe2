"""`trueframe bus poison`: messages that a reader could not take: look at them, send them again, drop them.

What should not be in this module: how they are kept (`mesh.bus_poison`).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from mesh.bus import Bus
    from mesh.bus_poison import PoisonMessage
    from mesh.config import Config

T = TypeVar("T")
_CONNECT_WITHIN_S = 5.0
_MOST_SHOWN_BYTES = 2048
config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Configuration of a site, in mesh mode: which bus.",
)
_numbers = click.argument("numbers", nargs=-1, type=click.IntRange(min=1))
_all = click.option("--all", "every", is_flag=True, help="All of them.")


@click.group("bus")
def command() -> None:
    """Look after the messages between services."""


@command.group("poison")
def poison() -> None:
    """Messages that a reader could not take, and that lie aside for 30 days."""


@poison.command("list")
@config_option
@json_option
@data_option
def list_command(data: str, as_json: bool, config_file: Path | None) -> None:
    """List what lies aside, oldest first, and why."""
    found = _on_bus(data, config_file, _all_of)
    if as_json:
        for one in found:
            show_json(_fields(one))
        return
    if not found:
        click.echo("no message lies aside")
        return
    show_table(
        ("NUMBER", "SET ASIDE", "READER", "SUBJECT", "BYTES", "TRIES", "REASON"),
        [
            (one.number, show_time(one.set_aside_ns), one.reader, one.subject, one.size_bytes, one.attempts, one.reason)
            for one in found
        ],
    )


@poison.command("show")
@click.argument("number", type=click.IntRange(min=1))
@config_option
@json_option
@data_option
def show_command(data: str, as_json: bool, config_file: Path | None, number: int) -> None:
    """Show one message with its payload."""
    from mesh import bus_poison

    one = _on_bus(data, config_file, lambda bus: bus_poison.get(bus, number))
    if as_json:
        show_json(_fields(one) | {"payload": base64.b64encode(one.payload).decode()})
        return
    for key, value in _fields(one).items():
        click.echo(f"{key}: {value}")
    if one.payload.startswith(b"{"):
        # What came from outside must not steer a terminal.
        text = one.payload[:_MOST_SHOWN_BYTES].decode(errors="replace")
        click.echo("payload: " + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
    else:
        click.echo(f"payload: {one.payload[:_MOST_SHOWN_BYTES].hex()}")


@poison.command("retry")
@_numbers
@_all
@config_option
@json_option
@data_option
def retry_command(data: str, as_json: bool, config_file: Path | None, numbers: tuple[int, ...], every: bool) -> None:
    """Send messages again on their subjects, to all readers: they bear what comes twice."""
    from mesh import bus_poison

    _each(data, config_file, numbers, "sent again", bus_poison.retry, every=every, as_json=as_json)


@poison.command("drop")
@_numbers
@_all
@config_option
@json_option
@data_option
def drop_command(data: str, as_json: bool, config_file: Path | None, numbers: tuple[int, ...], every: bool) -> None:
    """Let go of messages for ever."""
    from mesh import bus_poison

    _each(data, config_file, numbers, "dropped", bus_poison.drop, every=every, as_json=as_json)


def _each(
    data: str,
    config_file: Path | None,
    numbers: tuple[int, ...],
    done: str,
    act: Callable[[Bus, int], Awaitable[object]],
    *,
    every: bool,
    as_json: bool,
) -> None:
    if bool(numbers) == every:
        raise InvalidArgument("the messages", "are not named", "Give their numbers, or --all.")

    async def work(bus: Bus) -> None:
        for number in [one.number for one in await _all_of(bus)] if every else numbers:
            await act(bus, number)
            if as_json:
                show_json({"number": number, "done": done})
            else:
                click.echo(f"{number}: {done}")

    _on_bus(data, config_file, work)


async def _all_of(bus: Bus) -> list[PoisonMessage]:
    from mesh.bus_poison import listed

    return [one async for one in listed(bus)]


def _on_bus(data: str, config_file: Path | None, work: Callable[[Bus], Awaitable[T]]) -> T:
    from mesh.bus import Bus

    config = _config(data, config_file)

    async def run() -> T:
        async with Bus.from_config(config, "bus-command") as bus:
            await bus.ready(_CONNECT_WITHIN_S)
            return await work(bus)

    return asyncio.run(run())


def _config(data: str, config_file: Path | None) -> Config:
    from mesh.config import load
    from trueframe.layout import layout_of

    if config_file is not None:
        return load(config_file)
    layout = layout_of(data)
    if not layout.config.is_file():
        raise NotFound(f"data folder {layout.data}", "no trueframe runs on it", "Start it, or name a --config.")
    return load(layout.config)


def _fields(one: PoisonMessage) -> dict[str, object]:
    return {
        "number": one.number,
        "set_aside_ns": one.set_aside_ns,
        "reader": one.reader,
        "subject": one.subject,
        "event_id": one.event_id,
        "type": one.type,
        "source": one.source,
        "size_bytes": one.size_bytes,
        "attempts": one.attempts,
        "reason": one.reason,
    }
