"""`trueframe cameras probe`: what a source, or a camera that is attached, gives."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from trueframe.commands.options import data_option, json_option, show_json

if TYPE_CHECKING:
    from broker.discovery.client import ProbeSourceResponse

_TRANSPORTS = ("auto", "tcp", "udp")


@click.command("probe")
@click.argument("source", metavar="SOURCE|ID")
@click.option(
    "--seconds", type=click.FloatRange(0.5, 30), default=5.0, show_default=True, help="How long to look at it."
)
@click.option("--transport", type=click.Choice(_TRANSPORTS), default="auto", show_default=True)
@click.option("--tls-sha256", default="", metavar="HEX", help="SHA-256 of the certificate to believe.")
@json_option
@data_option
def probe(data: str, source: str, seconds: float, transport: str, tls_sha256: str, as_json: bool) -> None:
    """Try SOURCE for some seconds and say what it is; of a camera, say what its open connection gives.

    A source that is attached is never connected to a second time. Exit code 1 if it cannot be played.
    """
    from broker.discovery.client import CameraSpec
    from trueframe.client import connect
    from trueframe.sights import transport_number
    from trueframe.sources import parse_sources

    with connect(data) as tf:
        is_id = re.fullmatch(r"[a-z0-9-]{1,63}", source) is not None and any(
            camera.spec.id == source for camera in tf.broker.list_cameras()
        )
        spec = CameraSpec(id=source) if is_id else CameraSpec(source=parse_sources([source])[0].source)
        spec.transport, spec.tls_sha256 = transport_number(transport), tls_sha256
        if not is_id and sys.stderr.isatty():
            click.echo(f"looking for {seconds:g} s …", err=True)
        answer = tf.discovery.probe(spec, seconds)
    if as_json:
        show_json(_record(answer))
    else:
        _show(answer)
    if not answer.playable:
        raise click.exceptions.Exit(1)


def _record(answer: ProbeSourceResponse) -> dict[str, object]:
    from trueframe.sights import camera_state, codec_name

    return {
        "playable": answer.playable,
        "failure": answer.failure,
        "state": camera_state(answer.state),
        "codec": codec_name(answer.codec),
        "width": answer.width,
        "height": answer.height,
        "frame_rate": round(answer.frame_rate, 2),
        "claimed_frame_rate": round(answer.claimed_frame_rate, 2),
        "bit_rate": round(answer.bit_rate),
        "key_frame_interval": answer.key_frame_interval,
        "transport_used": answer.transport_used,
        "server": answer.server,
        "has_audio": answer.has_audio,
        "has_camera_time": answer.has_camera_time,
        "first_frame_s": round(answer.first_frame_s, 3),
        "attached_as": answer.attached_as,
    }


def _show(answer: ProbeSourceResponse) -> None:
    from trueframe.sights import camera_state, codec_name

    if not answer.playable:
        click.echo(f"not playable ({camera_state(answer.state)}): {answer.failure}")
        return
    over = f" over {answer.transport_used}" if answer.transport_used else ""
    after = f", first frame after {answer.first_frame_s:.2f} s" if answer.first_frame_s else ""
    claims = f" (claims {answer.claimed_frame_rate:g})" if answer.claimed_frame_rate else ""
    interval = answer.key_frame_interval
    joins = (
        f", a join point every {interval} frames" if interval > 1 else ", each of them a join point" if interval else ""
    )
    rows = [
        ("plays", f"yes{over}{after}"),
        ("picture", f"{codec_name(answer.codec)} {answer.width}x{answer.height}"),
        ("rate", f"{answer.frame_rate:.1f} frames/s{claims}, {answer.bit_rate / 1e6:.2f} Mbit/s{joins}"),
        ("audio", "yes, it is dropped" if answer.has_audio else "no"),
        ("own time", "yes" if answer.has_camera_time else "no"),
        ("server", answer.server),
        ("camera", answer.attached_as),
    ]
    for name, value in rows:
        if value:
            click.echo(f"{name:<9}{value}")
