"""`trueframe certs`: the site's own authority, and certificates for services and users. Needs no openssl."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mesh.errors import FailedPrecondition, InvalidArgument, Unavailable
from trueframe.commands.options import json_option, show_json, show_table
from trueframe.times import parse_duration, show_time

if TYPE_CHECKING:
    from mesh.certificate_folder import Stored

_HANDSHAKE_WITHIN_S = 10.0


F = TypeVar("F", bound=Callable[..., Any])


def folder_option(function: F) -> F:
    """--dir DIR: where the certificates are kept."""
    return click.option(
        "--dir", "folder", default="certs", envvar="TRUEFRAME_CERTS", show_default=True, metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path), help="Folder of the certificates ($TRUEFRAME_CERTS).",
    )(function)  # fmt: skip


@click.group("certs")
def command() -> None:
    """Make, renew and check the certificates that services and users show each other over a network."""


@command.command("init")
@click.option("--site", default="site", show_default=True, help="Name of the site, for people who read certificates.")
@click.option("--for", "lifetime", default="3650d", show_default=True, metavar="DURATION", help="How long it holds.")
@folder_option
@json_option
def init(folder: Path, site: str, lifetime: str, as_json: bool) -> None:
    """Make the site's authority. Keep its key, ca.key, off the machines that serve."""
    from mesh.certificate_folder import CertificateFolder

    made = CertificateFolder(folder).init(site, _life(lifetime), _now())
    _tell(made, as_json)


@command.command("issue")
@click.argument("name")
@click.option("--host", "hosts", multiple=True, help="Host name or address that a service is called by; repeatable.")
@click.option("--user", "is_user", is_flag=True, help="For a user's client, not for a service.")
@click.option("--for", "lifetime", default="365d", show_default=True, metavar="DURATION", help="How long it holds.")
@folder_option
@json_option
def issue(folder: Path, name: str, hosts: tuple[str, ...], is_user: bool, lifetime: str, as_json: bool) -> None:
    """Issue a certificate for the service NAME on its --host names, or for the user NAME with --user."""
    from mesh.certificate_folder import CertificateFolder
    from mesh.certificates import Kind

    kind = Kind.USER if is_user else Kind.SERVICE
    made = CertificateFolder(folder).issue(kind, name, list(hosts), _life(lifetime), _now())
    _tell(made, as_json)


@command.command("renew")
@click.argument("name")
@click.option("--for", "lifetime", metavar="DURATION", help="How long it holds. Default: as long as the one before.")
@folder_option
@json_option
def renew(folder: Path, name: str, lifetime: str | None, as_json: bool) -> None:
    """Issue NAME again with a new key; `ca` is the authority itself.

    Running services take up the new files by themselves once they are copied over the old ones; open streams go on.
    A new authority is believed beside the old one: copy ca.crt everywhere before certificates are renewed with it.
    """
    from mesh.certificate_folder import CertificateFolder

    made = CertificateFolder(folder).renew(name, _life(lifetime) if lifetime else None, _now())
    _tell(made, as_json)


@command.command("list")
@folder_option
@json_option
def list_certificates(folder: Path, as_json: bool) -> None:
    """List the authority and all that it issued."""
    from mesh.certificate_folder import CertificateFolder

    _show(CertificateFolder(folder).all(), as_json)


@command.command("check")
@click.option("--within", default="14d", show_default=True, metavar="DURATION", help="What ends so soon is a fault.")
@click.option("--endpoint", metavar="HOST:PORT", help="Instead of files: the certificate that is served there.")
@folder_option
@json_option
def check(folder: Path, within: str, endpoint: str | None, as_json: bool) -> None:
    """Check that certificates and keys belong together and hold for long enough. Exit code 1 if not."""
    from mesh.certificate_folder import CertificateFolder, Stored
    from mesh.certificates import Kind, describe, read_certificate, require_matching
    from mesh.files import read_secret

    known, soon = CertificateFolder(folder), _now() + timedelta(seconds=parse_duration(within))
    if endpoint is not None:
        pem = _served(endpoint, known.ca_file)
        found = [Stored(describe(read_certificate(pem, endpoint)), Path(endpoint), Path("-"))]
    else:
        found = known.all()
        authorities = known.ca_file.read_bytes()
        for one in found:
            if one.described.kind is not Kind.AUTHORITY and one.key_file.exists():
                key = read_secret(one.key_file).encode()
                require_matching(one.certificate_file.read_bytes(), key, authorities, str(one.certificate_file), _now())
    _show(found, as_json)
    # Of authorities the one that ends last counts: those before it run out as they should.
    last = max((one.described.ends for one in found if one.described.kind is Kind.AUTHORITY), default=None)
    for one in found:
        ends = last if one.described.kind is Kind.AUTHORITY and last else one.described.ends
        if ends <= soon:
            raise FailedPrecondition(
                f"certificate {one.described.name!r}",
                f"ends on {_when(ends)}",
                "`trueframe certs renew` renews it.",
            )


def _served(endpoint: str, ca_file: Path) -> bytes:
    host, colon, port = endpoint.rpartition(":")
    if not colon or not port.isdigit():
        raise InvalidArgument(f"endpoint {endpoint!r}", "is not HOST:PORT")
    host = host.strip("[]")
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((host, int(port)), _HANDSHAKE_WITHIN_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True) or b"").encode()
    except ssl.SSLCertVerificationError as error:
        raise FailedPrecondition(f"certificate of {endpoint}", error.verify_message or "does not hold") from None
    except ssl.SSLError:
        raise FailedPrecondition(f"endpoint {endpoint}", "does not speak TLS") from None
    except FileNotFoundError:
        raise InvalidArgument(f"authority {ca_file}", "does not exist", "Name its folder with --dir.") from None
    except OSError as error:
        raise Unavailable(f"endpoint {endpoint}", error.strerror or "does not answer") from None


def _show(found: Iterable[Stored], as_json: bool) -> None:
    if as_json:
        for one in found:
            _tell(one, True)
        return
    rows = [
        (
            one.described.name,
            one.described.kind,
            _when(one.described.ends),
            _days_left(one),
            ", ".join(one.described.hosts) or "-",
        )
        for one in found
    ]
    show_table(("NAME", "KIND", "ENDS", "DAYS LEFT", "HOSTS"), rows)


def _tell(one: Stored, as_json: bool) -> None:
    told = one.described
    if as_json:
        show_json(
            {
                "name": told.name, "kind": told.kind, "hosts": list(told.hosts), "issuer": told.issuer,
                "begins": told.begins.isoformat(), "ends": told.ends.isoformat(), "days_left": _days_left(one),
                "serial": told.serial, "fingerprint": told.fingerprint,
                "certificate": str(one.certificate_file), "key": str(one.key_file),
            }
        )  # fmt: skip
        return
    hosts = f", {', '.join(told.hosts)}" if told.hosts else ""
    click.echo(f"{one.certificate_file}: {told.kind} {told.name}{hosts}, until {_when(told.ends)}")
    click.echo(f"{one.key_file}: its key; keep it secret")


def _life(text: str) -> timedelta:
    seconds = parse_duration(text)
    if not 0 < seconds <= 100 * 365 * 86_400:
        raise InvalidArgument(f"lifetime {text!r}", "is nothing, or more than a hundred years", "Give --for 365d.")
    return timedelta(seconds=seconds)


def _now() -> datetime:
    return datetime.now(UTC)


def _days_left(one: Stored) -> float:
    return round(one.described.left(_now()) / timedelta(days=1), 1)


def _when(moment: datetime) -> str:
    return show_time(int(moment.timestamp()) * 1_000_000_000)
