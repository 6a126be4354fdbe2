"""`trueframe token`: tokens made with the key of a data folder, listed, and revoked."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, Unavailable
from mesh.roles import Role
from trueframe.commands.options import data_option, json_option, require_folder, show_json, show_table
from trueframe.layout import layout_of
from trueframe.times import parse_duration, show_duration, show_time

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mesh.revocation import Revocation
    from trueframe.token_book import TokenBook

_BUS_WITHIN_S = 10.0


@click.group("token")
def command() -> None:
    """Create, list and revoke the tokens by which services know users, programs and each other."""


@command.command("init")
@data_option
def init(data: str) -> None:
    """Make the key that signs tokens, for a site in mesh mode. `trueframe up` makes its own.

    Services need signing.pub alone; signing.key stays where tokens are made.
    """
    from mesh.files import private_folder
    from mesh.tokens import create_signing_key

    keys = private_folder(layout_of(data).keys)
    if (keys / "signing.key").exists():
        raise AlreadyExists(f"signing key {keys / 'signing.key'}", "is there already")
    create_signing_key(keys / "signing.key", keys / "signing.pub")
    click.echo(f"{keys / 'signing.key'}: signs tokens; keep it secret")
    click.echo(f"{keys / 'signing.pub'}: believes them; copy it to every service")


@command.command("create")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    default="viewer",
    show_default=True,
    help="What it may do.",
)
@click.option("--camera", "cameras", multiple=True, help="Only these cameras; all when left out.")
@click.option(
    "--unmasked/--masked",
    "unmasked",
    default=None,
    help="Pictures without, or with, privacy masks; left out, viewers and operators see them masked.",
)
@click.option("--for", "lifetime", default="30d", show_default=True, metavar="DURATION", help="How long it holds.")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to write it (0600); - is standard output.")
@json_option
@data_option
def create(
    data: str,
    name: str,
    role: str,
    cameras: tuple[str, ...],
    unmasked: bool | None,
    lifetime: str,
    output: str,
    as_json: bool,
) -> None:
    """Make a token that names NAME. Use it with $TRUEFRAME_TOKEN_FILE, or `trueframe tui --token FILE`.

    The role service is for services of trueframe in mesh mode.
    """
    require_folder(output)
    from mesh.files import write_private
    from mesh.tokens import load_signing_key, mint_token
    from trueframe.token_book import TokenBook, entry_of

    seconds = parse_duration(lifetime)
    if seconds <= 0:
        raise InvalidArgument(f"lifetime {lifetime!r}", "is nothing", "Give --for 8h, for example.")
    keys = layout_of(data).keys
    key = load_signing_key(keys / "signing.key")
    text = mint_token(key, name, role, cameras or None, timedelta(seconds=seconds), unmasked=unmasked)
    entry = entry_of(text)
    # Before the token is given out: what is not in the book could not be found again.
    TokenBook(keys).add(entry, time.time())
    if output == "-":
        sys.stdout.write(f"{text}\n")
        return
    write_private(Path(output), text.encode())
    if as_json:
        show_json({"id": entry.id, "user": name, "role": role, "cameras": list(cameras) or None, "file": output})
        return
    scope = ", ".join(cameras) if cameras else "all cameras"
    click.echo(f"{output}: {name}, {role}, {scope}, for {show_duration(seconds)}, id {entry.id}")


@command.command("list")
@click.option("--all", "with_ended", is_flag=True, help="Also those that have ended.")
@json_option
@data_option
def list_tokens(data: str, with_ended: bool, as_json: bool) -> None:
    """List the tokens made here: id, user, role, cameras, life. The tokens themselves are never shown."""
    from mesh.revocation import Revocations
    from mesh.tokens import load_public_key
    from trueframe.token_book import TokenBook

    keys, now_s = layout_of(data).keys, time.time()
    revoked = Revocations(keys / "revoked.jws", [load_public_key(keys / "signing.pub")]).present
    rows = []
    for entry in TokenBook(keys).entries():
        state = "holds" if entry.ends_s > now_s else "ended"
        if revoked.revokes(entry.id, entry.user, entry.issued_s):
            state = "revoked"
        if state == "ended" and not with_ended:
            continue
        if as_json:
            show_json(
                {
                    "id": entry.id, "user": entry.user, "role": entry.role, "issued_s": entry.issued_s,
                    "cameras": None if entry.cameras is None else list(entry.cameras), "ends_s": entry.ends_s,
                    "state": state, "file": entry.file or None,
                }
            )  # fmt: skip
            continue
        scope = "all" if entry.cameras is None else ", ".join(entry.cameras) or "none"
        ends = show_time(entry.ends_s * 1_000_000_000)
        rows.append((entry.id, entry.user, entry.role, state, ends, scope))
    if not as_json:
        show_table(("ID", "USER", "ROLE", "STATE", "ENDS", "CAMERAS"), rows)


@command.command("revoke")
@click.argument("token_id", required=False)
@click.option("--user", help="All tokens made for this user until now.")
@click.option("--file", "file", type=click.Path(path_type=Path), help="The token in this file.")
@click.option("--force", is_flag=True, help="Even where services of this data folder would be locked out.")
@click.option("--reason", default="", help="Why, for those who read the list.")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration of a site: tell its bus too.")
@json_option
@data_option
def revoke(
    data: str,
    token_id: str | None,
    user: str | None,
    file: Path | None,
    force: bool,
    reason: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Revoke the token TOKEN_ID. Services refuse it within seconds, and its open streams end.

    A revoked token stays so: make a new one for whoever should come back.
    """
    from mesh.files import read_secret
    from mesh.revocation import Revocation
    from mesh.tokens import LONGEST_LIFE, load_signing_key
    from trueframe.keys import user_name
    from trueframe.token_book import TokenBook, entry_of

    if sum(one is not None for one in (token_id, user, file)) != 1:
        raise InvalidArgument("token", "is not named by one of TOKEN_ID, --user and --file")
    keys, now_s = layout_of(data).keys, int(time.time())
    key = load_signing_key(keys / "signing.key")
    if not force:
        _refuse_services(TokenBook(keys), token_id, user, file)
    if user is not None:
        ends_s = now_s + int(LONGEST_LIFE.total_seconds())
        wanted = Revocation(now_s, ends_s, user=user, before_s=now_s, by=user_name(), reason=reason)
        what = f"all tokens of {user} made until now"
    else:
        entry = TokenBook(keys).find(token_id or "") if file is None else entry_of(read_secret(file), str(file))
        wanted = Revocation(now_s, entry.ends_s + 60, token_id=entry.id, by=user_name(), reason=reason)
        what = f"token {entry.id} of {entry.user}"
    told = asyncio.run(_revoke(keys / "revoked.jws", key, wanted, config))
    if as_json:
        show_json({"token": wanted.token_id or None, "user": wanted.user or None, "told_bus": told})
        return
    click.echo(f"revoked: {what}" + (", and told the bus" if told else ""))


def _refuse_services(book: TokenBook, token_id: str | None, user: str | None, file: Path | None) -> None:
    """Raises FailedPrecondition where services would be locked out: those named, or the token they show each other."""
    from mesh.files import read_secret
    from trueframe.keys import SERVICE_USER
    from trueframe.token_book import entry_of

    if user is not None:
        holds = user == SERVICE_USER or any(one.user == user and one.role == Role.SERVICE for one in book.entries())
        what = f"tokens of {user!r}"
    else:
        entry = book.find(token_id or "") if file is None else entry_of(read_secret(file), str(file))
        holds, what = entry.role == Role.SERVICE, f"token {entry.id} of {entry.user!r}"
    if holds:
        raise FailedPrecondition(
            what,
            "are shown by services: without them recording, inspection and alarms stop"
            if user is not None
            else "is shown by services: without it recording, inspection and alarms stop",
            "Give services another token first (`trueframe up` makes its own when it starts), or say --force.",
        )


async def _revoke(path: Path, key: Ed25519PrivateKey, wanted: Revocation, config: Path | None) -> bool:
    from mesh.revocation import revoke as write

    if config is None:
        write(path, key, wanted)
        return False
    from mesh.bus import Bus
    from mesh.config import load
    from mesh.revocation_bus import newest, publish

    async with Bus.from_config(load(config), "token-command") as bus:
        known = ""
        try:
            await bus.ready(_BUS_WITHIN_S)
            known = await newest(bus)
            await publish(bus, write(path, key, wanted, known).encode(key))
        except Unavailable as error:
            if not known:
                write(path, key, wanted)
            raise Unavailable(error.thing, error.reason, f"It stands in {path}; copy it, or repeat this.") from None
    return True
