"""`trueframe cameras discover`: which cameras the network has, what they give, and how they are added."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from mesh.errors import InvalidArgument, TrueframeError, Unauthenticated
from trueframe.commands.options import data_option, json_option, show_json, show_table

if TYPE_CHECKING:
    from broker.discovery.client import ListDeviceProfilesResponse
    from trueframe.client import Client
    from trueframe.found_devices import FoundStream

PASSWORD_VARIABLE = "TRUEFRAME_CAMERA_PASSWORD"  # noqa: S105 - a name


@dataclass(slots=True)
class _Asked:
    """A device, and what it said: its profiles, or why it said nothing."""

    urn: str
    address: str
    name: str
    hardware: str = ""
    location: str = ""
    profiles: ListDeviceProfilesResponse | None = None
    failure: str = ""
    wants_login: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or self.address


@click.command("discover")
@click.argument("only", nargs=-1, metavar="[HOST]...")
@click.option("--interface", default="", help="Ask on this interface only: its name or its IPv4 address.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.5, 60), default=4.0, show_default=True, help="Seconds to listen."
)
@click.option(
    "--address", "addresses", multiple=True, metavar="URL", help="Ask this device by its address, not the network."
)
@click.option("--user", default="", help="User of the devices; the password is asked for.")
@click.option(
    "--password-stdin", is_flag=True, help=f"Read the password from stdin (or take it from ${PASSWORD_VARIABLE})."
)
@click.option("--add", "is_adding", is_flag=True, help="Add the main stream of every device found (or of HOST...).")
@click.option("--all-streams", is_flag=True, help="Add the other streams, too.")
@click.option("--yes", "is_sure", is_flag=True, help="Add without asking.")
@json_option
@data_option
def discover(
    data: str,
    only: tuple[str, ...],
    interface: str,
    timeout_s: float,
    addresses: tuple[str, ...],
    user: str,
    password_stdin: bool,
    is_adding: bool,
    all_streams: bool,
    is_sure: bool,
    as_json: bool,
) -> None:
    """Find ONVIF cameras, list their streams, and add them.

    Exit code 1 if nothing was found, a device did not tell its streams, or a camera could not be added.
    """
    from trueframe.client import connect
    from trueframe.found_devices import FoundDevice, cameras_to_be

    login = _login(user, password_stdin)
    with connect(data) as tf:
        devices = _by_address(addresses) if addresses else _on_the_network(tf, timeout_s, interface)
        devices = _chosen(devices, only)
        _ask_all(tf, devices, login)
        if not login[0] and any(device.wants_login for device in devices) and sys.stdin.isatty():
            click.echo("Some devices want a login; an empty user passes over them.", err=True)
            login = _prompted(click.prompt("User of the devices", default="", show_default=False, err=True))
            if login[0]:
                _ask_all(tf, [device for device in devices if device.wants_login], login)
        present = {camera.spec.id: camera.spec.source for camera in tf.broker.list_cameras()}
        found = cameras_to_be(
            [
                FoundDevice(
                    device.urn,
                    device.address,
                    device.name or device.profiles.model,
                    tuple((profile.token, profile.name, profile.source) for profile in device.profiles.profiles),
                )
                for device in devices
                if device.profiles is not None
            ],
            present,
        )
        if as_json:
            _show_json(devices, found)
        else:
            _show(devices, found, bool(login[0]), is_adding)
        added_all = not is_adding or _add(tf, _to_add(found, all_streams), login, is_sure, as_json)
    if not devices or any(device.failure for device in devices) or not added_all:
        raise click.exceptions.Exit(1)


def _login(user: str, password_stdin: bool) -> tuple[str, str]:
    """User and password, asked for once and hidden."""
    if password_stdin:
        if not user:
            raise InvalidArgument("--password-stdin", "has no --user", "Give both.")
        return user, sys.stdin.readline().rstrip("\r\n")
    if not user:
        return "", ""
    if PASSWORD_VARIABLE in os.environ:
        return user, os.environ[PASSWORD_VARIABLE]
    if not sys.stdin.isatty():
        raise InvalidArgument(
            f'password of user "{user}"', "cannot be asked for: this is no terminal",
            f"Give it with --password-stdin, or in ${PASSWORD_VARIABLE}.",
        )  # fmt: skip
    return _prompted(user)


def _prompted(user: str) -> tuple[str, str]:
    return (
        (user, click.prompt("Password", hide_input=True, default="", show_default=False, err=True))
        if user
        else ("", "")
    )


def _by_address(addresses: Sequence[str]) -> list[_Asked]:
    whole = [address if "://" in address else f"http://{address}" for address in addresses]
    return [_Asked("", address, "") for address in whole]


def _on_the_network(tf: Client, timeout_s: float, interface: str) -> list[_Asked]:
    devices = []
    with click.progressbar(length=1, label="asking the network", file=sys.stderr) as bar:
        for found in tf.discovery.devices(timeout_s, interface):
            devices.append(_Asked(found.urn, found.addresses[0], found.name, found.hardware, found.location))
            bar.label = f"asking the network: {len(devices)} found"
            bar.update(0)
        bar.update(1)
    return sorted(devices, key=lambda device: [part.zfill(3) for part in device.host.split(".")])


def _chosen(devices: list[_Asked], only: Sequence[str]) -> list[_Asked]:
    if not only:
        return devices
    for host in only:
        if not any(host in (device.host, device.urn, device.address) for device in devices):
            raise InvalidArgument(f'"{host}"', "is no device that answered", "Leave it out to see who does.")
    return [device for device in devices if {device.host, device.urn, device.address} & set(only)]


def _ask_all(tf: Client, devices: Sequence[_Asked], login: tuple[str, str]) -> None:
    with click.progressbar(devices, label="asking devices", file=sys.stderr) as bar:
        for device in bar:
            device.failure, device.wants_login = "", False
            try:
                device.profiles = tf.discovery.profiles(device.address, *login)
            except Unauthenticated as error:
                device.failure, device.wants_login = str(error), True
            except TrueframeError as error:
                device.failure = str(error)


def _profile_of(device: _Asked, token: str) -> tuple[str, str, str]:
    """Codec, size and rate of a profile, as text."""
    from trueframe.sights import codec_name

    for profile in device.profiles.profiles if device.profiles else ():
        if profile.token == token:
            size = f"{profile.width}x{profile.height}" if profile.width else "-"
            return codec_name(profile.codec), size, f"{profile.frame_rate:g}" if profile.frame_rate else "-"
    return "", "-", "-"


def _streams_of(device: _Asked, found: Sequence[FoundStream]) -> list[FoundStream]:
    return [stream for stream in found if stream.address == device.address]


def _show(devices: Sequence[_Asked], found: Sequence[FoundStream], has_login: bool, is_adding: bool) -> None:
    if not devices:
        click.echo(
            "No ONVIF device answered. Is ONVIF switched on in the cameras, and this host in their network? "
            "`--address http://HOST` asks one directly.",
            err=True,
        )
        return
    for device in devices:
        told = device.profiles
        what = f"{told.manufacturer} {told.model}" if told else device.hardware
        words = [device.host, device.name, what.strip(), device.location]
        if told is not None and told.HasField("clock_offset_ns") and abs(told.clock_offset_ns) > 2_000_000_000:
            words.append(f"clock {told.clock_offset_ns / 1e9:+.0f} s")
        click.echo("  ".join(word for word in words if word))
        if device.failure:
            click.echo(f"  {device.failure}")
            continue
        streams = _streams_of(device, found)
        rows = [
            ("", stream.id, *_profile_of(device, stream.token), stream.source, attached(stream)) for stream in streams
        ]
        show_table(("", "ID", "CODEC", "SIZE", "FPS", "SOURCE", ""), rows)
    lines = [stream.add_line(has_login) for stream in found if not stream.attached_as]
    if lines and not is_adding:
        click.echo("\nTo add them:")
        for line in lines:
            click.echo(f"  {line}")


def attached(stream: FoundStream) -> str:
    """What is said of a stream that a camera has."""
    return f"attached as {stream.attached_as}" if stream.attached_as else ""


def _show_json(devices: Sequence[_Asked], found: Sequence[FoundStream]) -> None:
    for device in devices:
        told = device.profiles
        streams = []
        for stream in _streams_of(device, found):
            codec, _, _ = _profile_of(device, stream.token)
            (profile,) = [p for p in told.profiles if p.token == stream.token] if told else []
            streams.append(
                {
                    "id": stream.id,
                    "display_name": stream.display_name,
                    "source": stream.source,
                    "token": stream.token,
                    "name": profile.name,
                    "codec": codec,
                    "width": profile.width,
                    "height": profile.height,
                    "frame_rate": profile.frame_rate,
                    "snapshot": profile.snapshot,
                    "attached_as": stream.attached_as,
                }
            )
        has_clock = told is not None and told.HasField("clock_offset_ns")
        show_json(
            {
                "urn": device.urn,
                "address": device.address,
                "name": device.name,
                "hardware": device.hardware,
                "location": device.location,
                "manufacturer": told.manufacturer if told else "",
                "model": told.model if told else "",
                "firmware": told.firmware if told else "",
                "serial": told.serial if told else "",
                "clock_offset_ns": told.clock_offset_ns if told is not None and has_clock else None,
                "failure": device.failure,
                "streams": streams,
            }
        )


def _to_add(found: Sequence[FoundStream], all_streams: bool) -> list[FoundStream]:
    return [stream for stream in found if not stream.attached_as and (stream.is_main or all_streams)]


def _add(tf: Client, streams: Sequence[FoundStream], login: tuple[str, str], is_sure: bool, as_json: bool) -> bool:
    """Adds them and says so; False if one could not be."""
    if not streams:
        click.echo("Nothing to add.", err=True)
        return True
    if not is_sure and sys.stdin.isatty():
        names = ", ".join(stream.id for stream in streams)
        if not click.confirm(f"Add {len(streams)} camera{'s' if len(streams) > 1 else ''} ({names})?", err=True):
            return True
    is_complete = True
    for stream in streams:
        try:
            tf.broker.add_camera(
                stream.id, stream.with_login(*login), display_name=stream.display_name, device=stream.device
            )
        except TrueframeError as error:
            click.echo(f"trueframe: {error}", err=True)
            is_complete = False
        else:
            click.echo(f"added {stream.id}: {stream.source}", err=as_json)
    return is_complete
