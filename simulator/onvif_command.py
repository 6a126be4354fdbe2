"""`python -m simulator onvif`: simulated ONVIF devices in front of any streams, found by WS-Discovery if wanted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal

import click

from simulator import parent
from simulator.onvif import LOGINS, Login, OnvifServer
from simulator.onvif_device import SimulatedDevice, VideoProfile
from simulator.onvif_discovery import DiscoveryAnswerer

_LOOK_FOR_PARENT_EVERY_S = 0.5
_STREAM = re.compile(r"(?P<id>[a-z0-9-]{1,63})=(?P<url>[a-z]+://[^,]+)(?P<traits>(,[a-z0-9_]+=[^,]+)*)")


@click.command("onvif")
@click.option(
    "--stream",
    "streams",
    multiple=True,
    required=True,
    metavar="ID=URL[,codec=h265][,size=1920x1080][,fps=25]",
    help="A stream of device ID; give one ID several times for several profiles.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--auth", metavar="USER:PASSWORD", envvar="TRUEFRAME_SIMULATOR_AUTH", help="Ask for a login.")
@click.option("--login", "kind", type=click.Choice(LOGINS), default="both", show_default=True, help="Which proofs do.")
@click.option("--no-media2", is_flag=True, help="Have media 1 only, as older devices.")
@click.option("--no-services", is_flag=True, help="Do not know GetServices, as the oldest.")
@click.option("--clock-offset-s", default=0.0, show_default=True, help="By how much the devices' clock is wrong.")
@click.option("--discovery", metavar="ADDRESS", help="Answer WS-Discovery on the interface with this address.")
def onvif(
    streams: tuple[str, ...],
    host: str,
    port: int,
    auth: str | None,
    kind: str,
    no_media2: bool,
    no_services: bool,
    clock_offset_s: float,
    discovery: str | None,
) -> None:
    """Serve ONVIF devices until stopped; prints one line of JSON when ready."""
    user, _, password = (auth or "").partition(":")
    if auth and not (user and password):
        raise click.UsageError("--auth is USER:PASSWORD, both of them")
    profiles: dict[str, list[VideoProfile]] = {}
    for text in streams:
        device, profile = _stream(text, {name: len(found) for name, found in profiles.items()})
        profiles.setdefault(device, []).append(profile)
    devices = [
        SimulatedDevice(
            name,
            f"Camera {name}",
            tuple(found),
            clock_offset_s=clock_offset_s,
            has_media2=not no_media2,
            has_services=not no_services,
        )
        for name, found in profiles.items()
    ]
    try:
        asyncio.run(_serve(devices, Login(user, password, kind) if auth else None, host, port, discovery))
    except OSError as error:
        raise click.ClickException(f"{host}:{port} or {discovery or 'discovery'}: {error.strerror or error}") from error


def _stream(text: str, taken: dict[str, int]) -> tuple[str, VideoProfile]:
    match = _STREAM.fullmatch(text)
    traits = dict(trait.split("=", 1) for trait in match["traits"].split(",")[1:]) if match else {}
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", traits.pop("size", "640x360"))
    codec, fps = traits.pop("codec", "h264"), traits.pop("fps", "10")
    if match is None or traits or size is None or codec not in ("h264", "h265", "mjpeg") or not fps.isdigit():
        raise click.UsageError(f"--stream {text!r} is not ID=URL[,codec=h264|h265|mjpeg][,size=WxH][,fps=N]")
    number = taken.get(match["id"], 0) + 1
    token = f"profile_{number}"
    name = "main" if number == 1 else f"sub {number - 1}"
    return match["id"], VideoProfile(token, name, match["url"], codec, int(size[1]), int(size[2]), int(fps))


async def _serve(
    devices: list[SimulatedDevice], login: Login | None, host: str, port: int, interface: str | None
) -> None:
    server = OnvifServer(devices, login)
    await server.start(host, port)
    answerer = DiscoveryAnswerer(devices, server.addresses)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        if interface:
            await answerer.start(interface)
        click.echo(json.dumps({"event": "ready", "port": server.port, "devices": server.addresses}))
        while not stop.is_set() and not parent.is_orphan():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_FOR_PARENT_EVERY_S)
    finally:
        answerer.close()
        await server.close()
