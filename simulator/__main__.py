"""The command line: `python -m simulator serve`, `fault`, `log`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import re
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from simulator import encode, log, service
from simulator.faults import KINDS
from simulator.files import FileError
from simulator.http_server import HttpPorts
from simulator.onvif_command import onvif
from simulator.rtsp import Ports
from simulator.scene import LAYOUTS
from simulator.service import Plan
from simulator.spec import INCIDENT_KINDS, IncidentSpec, SceneSpec, SpecError
from simulator.traits import Traits, parse

PORT = click.IntRange(0, 65535)
_CAMERA_ID = re.compile(r"^[a-z0-9-]{1,63}$")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Simulated IP cameras with known truth."""


@main.command()
@click.option(
    "--cameras",
    "count",
    type=click.IntRange(0, 1000),
    default=4,
    show_default=True,
    help="How many cameras show scenes: cam-1, cam-2, …",
)
@click.option("--scenes", default=",".join(LAYOUTS), show_default=True, help="Layouts, given to the cameras in turn.")
@click.option(
    "--file", "file_texts", multiple=True, metavar="ID=PATH", help="One more camera: this H.264 or H.265 file, looped."
)
@click.option("--seed", default=1, show_default=True)
@click.option("--fps", type=click.IntRange(1, 60), default=10, show_default=True)
@click.option("--size", default="640x360", show_default=True)
@click.option("--loop-s", default=60.0, show_default=True, help="Length of a scene's loop.")
@click.option(
    "--gop-s",
    type=click.FloatRange(0.02, 600),
    default=2.0,
    show_default=True,
    help="Time from one IDR picture to the next.",
)
@click.option("--bframes", default=0, show_default=True, help="B-frames in a row.")
@click.option(
    "--trait",
    "trait_texts",
    multiple=True,
    metavar="CAMERA:NAME=VALUE,…",
    help="What kind of camera it is, such as cam-2:codec=h265,audio=aac; * means all. Repeatable; see simulate.md.",
)
@click.option("--distinct", is_flag=True, help="Render a scene of its own for every camera.")
@click.option(
    "--incident",
    "incident_texts",
    multiple=True,
    metavar="CAMERA=KIND@START+LENGTH",
    help="Replaces that camera's incidents; repeatable. CAMERA=none takes them away.",
)
@click.option("--no-incidents", is_flag=True, help="Ordinary traffic only.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=0, show_default=True, help="RTSP port; 0 takes a free one.")
@click.option("--tls-port", type=PORT, default=0, show_default=True, help="RTSP over TLS, if a camera has it.")
@click.option("--http-port", type=PORT, default=0, show_default=True, help="HTTP, if a camera has it.")
@click.option("--https-port", type=PORT, default=0, show_default=True, help="HTTPS, if a camera has it.")
@click.option("--control", "control_port", type=PORT, default=0, show_default=True, help="Control port on loopback.")
@click.option(
    "--log", "log_folder", type=click.Path(path_type=Path), help="Sent logs and truth.json. [new temporary folder]"
)
@click.option("--cache", type=click.Path(path_type=Path), help=f"Encoded scenes. [{encode.default_cache()}]")
@click.option(
    "--auth",
    metavar="USER:PASSWORD",
    envvar="TRUEFRAME_SIMULATOR_AUTH",
    help="Login, digest unless traits say otherwise.",
)
@click.option("--transport", type=click.Choice(["both", "tcp", "udp"]), default="both", show_default=True)
@click.option("--no-sprop", is_flag=True, help="Leave the parameter sets out of the SDP.")
@click.option("--start-anywhere", is_flag=True, help="Begin with the next unit, not with the next join point.")
@click.option(
    "--session-timeout",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    help="Seconds without a request or report.",
)
@click.option(
    "--mtu", type=click.IntRange(64, 65000), default=1400, show_default=True, help="Largest RTP payload in bytes."
)
@click.option("--aggregate", is_flag=True, help="Send small NAL units together (STAP-A).")
@click.option(
    "--pad-bytes",
    type=click.IntRange(0, 16 << 20),
    default=0,
    show_default=True,
    help="Make units about this large with filler data.",
)
@click.option("--clock-offset-s", default=0.0, show_default=True, help="By how much the cameras' clock is wrong.")
def serve(count: int, file_texts: tuple[str, ...], auth: str | None, transport: str, **given: Any) -> None:
    """Serve cameras until stopped; prints one line of JSON when ready."""
    folder = given["log_folder"] or Path(tempfile.mkdtemp(prefix="trueframe-simulator-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        user, _, password = (auth or "").partition(":")
        if auth and not (user and password):
            raise SpecError("--auth is USER:PASSWORD, both of them")
        scenes, files = _scenes(count, given), _files(file_texts, count)
        plan = Plan(
            log=folder.resolve(),
            scenes=scenes,
            files=files,
            traits=_traits([*scenes, *files], _common(transport, given), given["trait_texts"]),
            cache=given["cache"] or encode.default_cache(),
            host=given["host"],
            ports=Ports(plain=given["port"], tls=given["tls_port"]),
            http_ports=HttpPorts(plain=given["http_port"], tls=given["https_port"]),
            control_port=given["control_port"],
            login=(user, password) if auth else None,
        )
        if not plan.scenes and not plan.files:
            raise click.UsageError("nothing to serve: take --cameras 1 or more, or --file ID=PATH")
        cameras = service.prepare(plan)
        gc.freeze()  # clips are for ever: full collections need not walk them
        asyncio.run(service.serve(plan, cameras, lambda line: click.echo(json.dumps(line))))
    except (SpecError, FileError) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(_explained(error, given)) from error
    finally:
        if given["log_folder"] is None:
            with contextlib.suppress(OSError):
                folder.rmdir()  # nothing came of it


def _scenes(count: int, given: dict[str, Any]) -> dict[str, SceneSpec]:
    layouts = [name.strip() for name in given["scenes"].split(",") if name.strip()]
    unknown = [name for name in layouts if name not in LAYOUTS]
    if unknown or not layouts:
        raise SpecError(f"scene {', '.join(unknown) or '(none)'} is unknown; there are {', '.join(LAYOUTS)}")
    names = [f"cam-{number + 1}" for number in range(count)]
    incidents = _incidents(given["incident_texts"], names)
    return {
        name: SceneSpec(
            layout=layouts[position % len(layouts)],
            seed=given["seed"] + (position // len(layouts) if given["distinct"] else 0),
            loop_s=given["loop_s"],
            delimiters=position % len(layouts) % 2 == 1,
            incidents=() if given["no_incidents"] else incidents.get(name),
        )
        for position, name in enumerate(names)
    }


def _common(transport: str, given: dict[str, Any]) -> Traits:
    """What the options say of every camera."""
    return Traits(
        bframes=given["bframes"],
        size=given["size"],
        fps=given["fps"],
        gop_s=given["gop_s"],
        sets="stream" if given["no_sprop"] else "both",
        mtu=given["mtu"],
        aggregate=given["aggregate"],
        pad_bytes=given["pad_bytes"],
        transport=transport,
        timeout_s=given["session_timeout"],
        clock_offset_s=given["clock_offset_s"],
        start="anywhere" if given["start_anywhere"] else "join",
    )


def _traits(names: list[str], common: Traits, texts: tuple[str, ...]) -> dict[str, Traits]:
    wishes: dict[str, dict[str, str]] = {name: {} for name in names}
    for is_for_all in (True, False):
        for text in texts:
            name, _, wish = text.partition(":")
            if name != "*" and name not in wishes:
                raise SpecError(f"--trait {text}: camera {name!r} is unknown; there are {', '.join(names)}")
            if (name == "*") == is_for_all:
                for camera in names if is_for_all else [name]:
                    wishes[camera] |= parse(wish)
    return {name: common.with_texts(wish) for name, wish in wishes.items()}


def _incidents(texts: tuple[str, ...], names: list[str]) -> dict[str, tuple[IncidentSpec, ...]]:
    found: dict[str, tuple[IncidentSpec, ...]] = {}
    for text in texts:
        name, _, incident = text.partition("=")
        if name not in names:
            raise SpecError(f"--incident {text}: camera {name!r} is unknown; there are {', '.join(names)}")
        more = () if incident == "none" else (IncidentSpec.parse(incident),)
        found[name] = (*found.get(name, ()), *more)
    return found


def _files(texts: tuple[str, ...], count: int) -> dict[str, Path]:
    taken = {f"cam-{number + 1}" for number in range(count)}
    found: dict[str, Path] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not _CAMERA_ID.match(name) or not path:
            raise SpecError(
                f"--file {text!r} is not ID=PATH; an id has lower-case letters, digits and hyphens, at most 63"
            )
        if name in found or name in taken:
            raise SpecError(f"--file {text!r}: there is a camera {name} already; take another id")
        found[name] = Path(path)
    return found


def _explained(error: OSError, given: dict[str, Any]) -> str:
    if error.errno == errno.EADDRINUSE:
        ports = f"{given['port']} or {given['control_port']}" if given["control_port"] else str(given["port"])
        return f"port {ports} is in use by another program; stop it, or take --port 0 for a free one"
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename is None:
        return f"port {given['port']} may not be opened; ports below 1024 need root: take --port 8554"
    return f"{error.filename or 'simulator'}: {error.strerror or error}"


@main.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--camera", default="*", show_default=True, help="Its id; * means all.")
@click.option("--share", default=0.01, show_default=True, help="Share of packets that lose and corrupt hit.")
@click.option("--seed", default=1, show_default=True)
@click.option("--by-s", default=0.0, help="How far it jumps; how long it delays or holds back.")
@click.option("--for-s", default=0.0, help="Heal after this many seconds.")
@click.option("--control", "port", required=True, type=int, help="Control port, as the ready line names it.")
def fault(kind: str, camera: str, share: float, seed: int, by_s: float, for_s: float, port: int) -> None:
    """Give cameras a fault, or take it away (none)."""
    request = {"camera": camera, "fault": kind, "share": share, "seed": seed, "by_s": by_s, "for_s": for_s}
    click.echo(json.dumps(_asked(port, request)["cameras"]))


@main.command()
@click.argument("kind", type=click.Choice(list(INCIDENT_KINDS)))
@click.option("--camera", required=True, help="Its id.")
@click.option("--length-s", default=0.0, help="How long it lasts. [what is usual for its kind]")
@click.option("--control", "port", required=True, type=int, help="Control port, as the ready line names it.")
def incident(kind: str, camera: str, length_s: float, port: int) -> None:
    """Let something happen in a camera's scene, once; prints in how many seconds."""
    click.echo(json.dumps(_asked(port, {"camera": camera, "incident": kind, "length_s": length_s})))


def _asked(port: int, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of the control port. Raises ClickException: nobody answers, or it refuses."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
    except OSError as error:
        raise click.ClickException(f"no simulator answers on control port {port}: {error.strerror}") from error
    if not answer.pop("ok"):
        raise click.ClickException(answer["error"])
    return answer


@main.command(name="log")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def show_log(path: Path) -> None:
    """Print a sent log as CSV."""
    click.echo("number,sent_ns,sent_monotonic_ns,digest,frame_in_loop,packets,dropped_packets,connection")
    for row in log.read(path):
        click.echo(
            f"{row.number},{row.sent_ns},{row.sent_monotonic_ns},{row.digest.hex()},{row.frame_in_loop},"
            f"{row.packets},{row.dropped_packets},{row.connection}"
        )


main.add_command(onvif)


def run() -> None:
    """Runs the command line; a mistake is one line on standard error."""
    try:
        main.main(prog_name="python -m simulator", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        place = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        text = " ".join(error.format_message().split()).rstrip(".")
        click.echo(f"simulator: {text}." + (f" `{place} --help` tells more." if place else ""), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    run()
