"""`trueframe cameras`: list, add, set, remove, watch. Every change is live; no other camera notices.

What should not be in this module: finding cameras (`cameras_discover`), trying them (`cameras_probe`), tables of them
(`cameras_table`), privacy masks (`cameras_mask`).
"""

from __future__ import annotations

import time

import click

from mesh.errors import InvalidArgument
from trueframe.commands.cameras_discover import discover
from trueframe.commands.cameras_mask import mask
from trueframe.commands.cameras_probe import probe
from trueframe.commands.cameras_table import export_cameras, import_cameras
from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import show_duration, show_time


@click.group("cameras")
def command() -> None:
    """List, find, try, add, change, remove and watch cameras."""


for _more in (discover, probe, import_cameras, export_cameras, mask):
    command.add_command(_more)

_transport = click.option(
    "--transport", type=click.Choice(["auto", "tcp", "udp"]), help="RTSP: how packets come; auto takes what works."
)
_tls = click.option("--tls-sha256", metavar="HEX", help="rtsps, https: SHA-256 of the certificate to believe.")
_device = click.option("--device", help="The device that it belongs to; free text.")


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise InvalidArgument(f'label "{key}"', "is not KEY=VALUE", 'Write --label floor="2".')
    return {key: value for key, _, value in pairs}


@command.command("list")
@json_option
@data_option
def list_cameras(data: str, as_json: bool) -> None:
    """List cameras with their states and figures."""
    from trueframe.client import connect
    from trueframe.commands.records import camera_record
    from trueframe.sights import camera_state, codec_name

    with connect(data) as tf:
        cameras = tf.broker.list_cameras()
    if as_json:
        for camera in cameras:
            show_json(camera_record(camera))
        return
    now_ns = time.time_ns()
    rows = [
        (
            camera.spec.id,
            camera_state(camera.state),
            show_duration((now_ns - camera.state_since_ns) / 1e9) if camera.state_since_ns else "-",
            codec_name(camera.codec),
            f"{camera.width}x{camera.height}" if camera.width else "-",
            f"{camera.frame_rate:.1f}",
            camera.frames,
            camera.damaged_frames,
            camera.spec.source,
            camera.detail or camera.clock.detail,
        )
        for camera in cameras
    ]
    show_table(("ID", "STATE", "SINCE", "CODEC", "SIZE", "FPS", "FRAMES", "DAMAGED", "SOURCE", "DETAIL"), rows)


@command.command("add")
@click.argument("words", nargs=-1, required=True, metavar="[NAME] SOURCE")
@click.option("--id", "camera", help="Its id, [a-z0-9-]; made of the name or source when left out.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A free label; may be given several times.")
@_transport
@_tls
@_device
@json_option
@data_option
def add_camera(
    data: str,
    words: tuple[str, ...],
    camera: str | None,
    labels: tuple[str, ...],
    transport: str | None,
    tls_sha256: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Add a camera: rtsp://…, http://… or a file, with a NAME in any script before it (or as NAME=SOURCE)."""
    from trueframe.client import connect
    from trueframe.commands.records import camera_record
    from trueframe.sources import parse_sources

    if len(words) > 2:
        raise InvalidArgument(f'"{words[2]}"', "is one word too many", "Give a name, if you like, and one source.")
    (named,) = parse_sources(["=".join(words)])
    with connect(data) as tf:
        added = tf.broker.add_camera(
            camera or named.id,
            named.source,
            display_name=named.display_name,
            labels=_labels(labels),
            transport=transport or "auto",
            tls_sha256=tls_sha256 or "",
            device=device or "",
        )
    if as_json:
        show_json(camera_record(added))
    else:
        click.echo(f"added {added.spec.id}: {added.spec.source}")


@command.command("set")
@click.argument("camera")
@click.option("--source", default="", help="Another source.")
@click.option("--name", help="Another name for people.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Replace all labels by these.")
@click.option("--off/--on", "is_off", default=None, help="Switch it off or on.")
@_transport
@_tls
@_device
@json_option
@data_option
def set_camera(
    data: str,
    camera: str,
    source: str,
    name: str | None,
    labels: tuple[str, ...],
    is_off: bool | None,
    transport: str | None,
    tls_sha256: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Change a camera."""
    from trueframe.client import connect
    from trueframe.commands.records import camera_record
    from trueframe.sights import transport_number
    from trueframe.sources import parse_sources

    with connect(data) as tf:
        spec = tf.broker.get_camera(camera).spec
        # What the broker gives out has no credentials; an empty source keeps the stored one.
        spec.source = parse_sources([source])[0].source if source else ""
        if name is not None:
            spec.display_name = name
        if labels:
            spec.labels.clear()
            spec.labels.update(_labels(labels))
        if is_off is not None:
            spec.disabled = is_off
        if transport is not None:
            spec.transport = transport_number(transport)
        if tls_sha256 is not None:
            spec.tls_sha256 = tls_sha256
        if device is not None:
            spec.device = device
        changed = tf.broker.update_camera(spec)
    if as_json:
        show_json(camera_record(changed))
    else:
        click.echo(f"changed {changed.spec.id}")


@command.command("remove")
@click.argument("camera")
@data_option
def remove_camera(data: str, camera: str) -> None:
    """Disconnect and remove a camera; its footage stays, its id is never given again."""
    from trueframe.client import connect

    with connect(data) as tf:
        tf.broker.remove_camera(camera)
    click.echo(f"removed {camera}")


@command.command("watch")
@json_option
@data_option
def watch_cameras(data: str, as_json: bool) -> None:
    """Print the state of every camera, then each change, until interrupted."""
    from trueframe.client import connect
    from trueframe.commands.records import camera_record
    from trueframe.sights import camera_state
    from trueframe.silence import told_if_silent

    known: dict[str, str] = {}
    with connect(data) as tf, told_if_silent(tf.running, "broker", lambda said: click.echo(said, err=True)):
        for change in tf.broker.watch_cameras():
            camera = change.camera
            if not camera.spec.id:
                continue
            if change.removed:
                known.pop(camera.spec.id, None)
                state, detail = "removed", ""
            else:
                state, detail = camera_state(camera.state), camera.detail
                if known.get(camera.spec.id) == state and not as_json:
                    continue
                known[camera.spec.id] = state
            if as_json:
                show_json({**camera_record(camera), "removed": change.removed})
            else:
                moment = show_time(camera.state_since_ns or time.time_ns())
                click.echo(f"{moment}  {camera.spec.id}  {state}  {detail}".rstrip())
