"""Every rpc of every service, found in the descriptors: who may not call it is refused, and learns nothing.

The real services, each over mutual TLS on loopback. A new rpc is in these tests by itself; if its request needs a field
to be filled in before its scope is checked, name it in `NAMES`.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import cache

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from broker.client import SyncBrokerClient
from mesh.bus import Bus
from mesh.channel import connect_sync
from mesh.conditions import CONDITION_TYPE, condition_payload, system_subject
from mesh.ids import new_event_id
from mesh.revocation import Revocation, revoke
from mesh.roles import ROLE_TABLE, Role
from mesh.tokens import mint_token
from tests.every_rpc import Outcome, Rpc, every_rpc, names_a_camera, request_of
from tests.secured_site import SecuredSite, secured_site
from tests.support import auntil, until

RPCS = every_rpc()
ALLOWED, FORBIDDEN, NOWHERE = "gate", "vault-of-the-bank", "no-such-camera-at"
SECRET_NAME = "Tresor"
# What requests have to say besides naming things, so that they come as far as the check of their scope.
NAMES = {
    "source": "rtsp://127.0.0.1:9/x", "reason": "because", "text": "hello", "comment": "hello", "purpose": "trial",
    "file_name": "x.mp4", "request_id": "r1", "name": "x", "model": "vault.motion", "digest": "0" * 64,
    "detector": "motion", "user": "u", "password": "p", "address": "127.0.0.1", "to_ns": str(1 << 60), "bucket_s": "60",
    "epoch": "1", "speed": "1", "steps": "1", "ahead_s": "60", "keep_s": "60", "duration_ns": str(60 * 10**9),
    "received_ns": "1", "max_width": "16", "max_height": "16", "worker": "w",
}  # fmt: skip
NOT_SHOWN = ("PERMISSION_DENIED", "NOT_FOUND")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredSite]:
    with secured_site(tmp_path_factory.mktemp("site")) as site:
        with SyncBrokerClient(
            site.endpoints["broker"], site.credentials(site.mint("setup", "administrator"))
        ) as broker:
            for camera, name in ((ALLOWED, "Gate"), (FORBIDDEN, SECRET_NAME)):
                source = f"rtsp://admin:{site.camera_password}@127.0.0.1:9/{camera}"
                broker.add_camera(camera, source, display_name=name)
        yield site


@pytest.fixture(scope="module")
def doors(site: SecuredSite) -> Iterator[dict[str, grpc.Channel]]:
    """A channel with a user's certificate to the server of each service, by the service's name."""
    yield from _doors(site, "olga")


@pytest.fixture(scope="module")
def service_doors(site: SecuredSite) -> Iterator[dict[str, grpc.Channel]]:
    """The same with the certificate of a service."""
    yield from _doors(site, "aggregate")


def _doors(site: SecuredSite, certificate: str) -> Iterator[dict[str, grpc.Channel]]:
    channels = [grpc.secure_channel(e, site.tls(certificate).credentials()) for e in site.endpoints.values()]
    found: dict[str, grpc.Channel] = {}
    token = site.mint("setup", "viewer")
    for channel in channels:
        asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]),
            metadata=(("authorization", f"Bearer {token}"),),
        )
        found |= {one.name: channel for one in next(asked).list_services_response.service}
    yield found
    for channel in channels:
        channel.close()


@pytest.fixture(scope="module")
def seen() -> list[bytes]:
    """All that callers saw in these tests."""
    return []


@pytest.fixture(scope="module")
def things(site: SecuredSite, service_doors: dict[str, grpc.Channel]) -> dict[str, str]:
    """Ids of things of the forbidden camera, by field."""
    token = site.mint("setup", "service")
    import asyncio

    from event_center.client import SyncEventClient
    from media_center.client import SyncFootageClient

    async def raise_event() -> None:
        async with Bus.from_config(site.config("aggregate"), "test") as bus:
            await bus.ready(20)
            payload = condition_payload(
                "trial",
                "tried",
                holds=True,
                since_ns=time.time_ns(),
                summary=f"{SECRET_NAME} is open",
                camera=FORBIDDEN,
            )
            await auntil(lambda: bus.connected)
            await bus.publish(system_subject("trial"), payload, event_id=new_event_id(), type=CONDITION_TYPE)

    asyncio.run(raise_event())
    credentials = site.credentials(token, "aggregate")
    with SyncEventClient(site.endpoints["event_center"], credentials) as events:
        event = until(lambda: events.list(cameras=[FORBIDDEN]), 20, "the event is there")[0]
    with SyncFootageClient(site.endpoints["media_center"], credentials) as footage:
        now_ns = time.time_ns()
        hold = footage.put_hold(FORBIDDEN, now_ns - 10**9, now_ns, SECRET_NAME)
    return {"event": event.id, "hold": hold.id}


def _names(rpc: Rpc, camera: str, event: str, hold: str) -> dict[str, str]:
    # A source beside the id would be tried as it is, whoever's it is: that is up to the role.
    given = {name: value for name, value in NAMES.items() if (rpc.name, name) != ("ProbeSource", "source")}
    by_service = {"EventService": event, "FootageService": hold, "CameraService": camera}
    thing = by_service.get(rpc.service.rpartition(".")[2], f"{camera}.motion")
    return given | {
        "camera": camera, "cameras": camera, "id": thing, "inspection": f"{camera}.motion", "anomaly": event,
        "CameraSpec.id": camera, "Inspection.id": f"{camera}.motion", "camera_lost": camera,
        "SuppressionRule.id": "rule-1",
    }  # fmt: skip


def _highest(rpc: Rpc) -> Role:
    """A role that may call it: a person's, if there is one."""
    roles = ROLE_TABLE[rpc.path]
    return Role.ADMINISTRATOR if Role.ADMINISTRATOR in roles else next(iter(roles))


@cache
def _other_key():  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def _tampered(token: str) -> list[str]:
    """The token with another role, with its signature changed, and with none."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    greater = base64.urlsafe_b64encode(json.dumps(claims | {"role": "service"}).encode()).rstrip(b"=").decode()
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    other = ("A" if signature[9] != "A" else "B").join((signature[:9], signature[10:]))
    return [f"{head}.{greater}.{signature}", f"{head}.{body}.{other}", f"{unsigned}.{greater}."]


def test_every_rpc_is_served_by_one_of_the_services_that_are_tried(doors: dict[str, grpc.Channel]) -> None:
    assert {rpc.service for rpc in RPCS} <= set(doors)
    assert {rpc.path for rpc in RPCS} == set(ROLE_TABLE) - {path for path in ROLE_TABLE if "reflection" in path}


@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_a_caller_without_a_token_that_holds_is_refused(
    rpc: Rpc, site: SecuredSite, doors: dict[str, grpc.Channel], seen: list[bytes]
) -> None:
    channel, good = doors[rpc.service], site.mint("olga", _highest(rpc))
    for token in (
        None,
        "",
        "abc",
        site.mint("olga", _highest(rpc), ttl=timedelta(seconds=-60)),
        mint_token(_other_key(), "olga", Role.ADMINISTRATOR),
        *_tampered(good),
    ):
        outcome = rpc.call(channel, token)
        seen.append(outcome.seen)
        assert outcome.status == "UNAUTHENTICATED", (token, outcome)
        assert not outcome.answers
    until(lambda: _is_logged(site, rpc, "Unauthenticated"), 10, f"{rpc} refused is logged")


@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_a_role_without_a_row_is_refused(
    rpc: Rpc, site: SecuredSite, doors: dict[str, grpc.Channel], seen: list[bytes]
) -> None:
    roles = [role for role in Role if role not in ROLE_TABLE[rpc.path]]
    for role in roles:
        outcome = rpc.call(doors[rpc.service], site.mint("olga", role))
        seen.append(outcome.seen)
        assert outcome.status == "PERMISSION_DENIED"
        assert not outcome.answers
    if roles:
        until(lambda: _is_logged(site, rpc, "PermissionDenied"), 10, f"{rpc} refused is logged")


@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_the_role_service_is_believed_of_a_certificate_of_a_service_alone(
    rpc: Rpc, site: SecuredSite, doors: dict[str, grpc.Channel]
) -> None:
    assert rpc.call(doors[rpc.service], site.mint("olga", Role.SERVICE)).status == "UNAUTHENTICATED"


@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_what_is_outside_of_the_cameras_of_a_token_is_as_if_it_did_not_exist(
    rpc: Rpc,
    site: SecuredSite,
    doors: dict[str, grpc.Channel],
    service_doors: dict[str, grpc.Channel],
    things: dict[str, str],
    seen: list[bytes],
) -> None:
    role = _highest(rpc)
    channel = (service_doors if role is Role.SERVICE else doors)[rpc.service]
    token = site.mint("narrow", role, [ALLOWED])
    there = _names(rpc, FORBIDDEN, things["event"], things["hold"])
    not_there = _names(rpc, NOWHERE, "0" * len(things["event"]), "0" * len(things["hold"]))
    asked, about_nothing = request_of(rpc, there), request_of(rpc, not_there)
    outcomes = [rpc.call(channel, token, request) for request in (asked, about_nothing, b"")]
    if names_a_camera(rpc):
        first, second = outcomes[:2]
        assert first.status in NOT_SHOWN, (rpc, first)
        assert _blurred(first, there) == _blurred(second, not_there), (first, second)
    for outcome in outcomes[1:]:
        seen.append(outcome.seen)
        for word in (FORBIDDEN, SECRET_NAME, things["event"], things["hold"]):
            assert word.encode() not in outcome.seen, (word, outcome)
    assert SECRET_NAME.encode() not in outcomes[0].seen


def _blurred(outcome: Outcome, names: dict[str, str]) -> tuple[str, str]:
    text = outcome.details
    for name in sorted(set(names.values()), key=len, reverse=True):
        if len(name) > 8:
            text = text.replace(name, "*")
    return outcome.status, text


@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_no_connection_is_made_in_the_clear_or_with_a_certificate_of_another_authority(
    rpc: Rpc, site: SecuredSite, doors: dict[str, grpc.Channel], strange_doors: dict[str, list[grpc.Channel]]
) -> None:
    token = site.mint("olga", _highest(rpc))
    for channel in strange_doors[rpc.service]:
        outcome = rpc.call(channel, token)
        assert outcome.status == "UNAVAILABLE", outcome
        assert not outcome.answers


@pytest.fixture(scope="module")
def strange_doors(site: SecuredSite, doors: dict[str, grpc.Channel]) -> Iterator[dict[str, list[grpc.Channel]]]:
    """To each server: without TLS, without a certificate, with one of another authority, and believing another."""
    ours, theirs = site.certs.ca_file.read_bytes(), site.strangers.ca_file.read_bytes()
    eve = tuple((site.strangers.folder / f"eve.{suffix}").read_bytes() for suffix in ("key", "crt"))
    olga = tuple((site.certs.folder / f"olga.{suffix}").read_bytes() for suffix in ("key", "crt"))
    by_endpoint = {
        endpoint: [
            grpc.insecure_channel(endpoint),
            grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(ours)),
            grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(ours, *eve)),
            grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(theirs, *olga)),
        ]
        for endpoint in site.endpoints.values()
    }
    known = {}
    for endpoint, channels in by_endpoint.items():
        with connect_sync(endpoint, site.credentials(site.mint("setup", "viewer"))) as channel:
            asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([reflection_pb2.ServerReflectionRequest(list_services="")])
            )
            known |= {one.name: channels for one in next(asked).list_services_response.service}
    yield known
    for channels in by_endpoint.values():
        for channel in channels:
            channel.close()


def test_a_revoked_token_is_refused_by_every_rpc_within_seconds_and_its_streams_end(
    site: SecuredSite, doors: dict[str, grpc.Channel], seen: list[bytes]
) -> None:
    token, kept = site.mint("mallory", Role.ADMINISTRATOR), site.mint("olga", Role.ADMINISTRATOR)
    by_path = {rpc.path: rpc for rpc in RPCS}
    watching = doors["trueframe.v1.CameraService"].unary_stream("/trueframe.v1.CameraService/WatchCameras")
    streams = [watching(b"", metadata=(("authorization", f"Bearer {one}"),)) for one in (token, kept)]
    for stream in streams:
        next(stream)
    now_s = int(time.time())
    entry = Revocation(now_s, now_s + 3600, user="mallory", before_s=now_s)
    revoke(site.data / "keys" / "revoked.jws", site.key, entry)
    with pytest.raises(grpc.RpcError) as ended:
        for _ in streams[0]:
            pass
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
    assert "has been revoked" in ended.value.details()  # type: ignore[attr-defined]
    for service, channel in doors.items():
        if some := next((rpc for rpc in RPCS if rpc.service == service), None):
            until(lambda: some.call(channel, token).status == "UNAUTHENTICATED", 10, f"{service} believes the list")  # noqa: B023
    for rpc in by_path.values():
        outcome = rpc.call(doors[rpc.service], token)
        seen.append(outcome.seen)
        assert outcome.status == "UNAUTHENTICATED"
        assert not outcome.answers
    assert streams[1].is_active()
    streams[1].cancel()


def test_planted_secrets_are_in_no_log_answer_or_error(site: SecuredSite, seen: list[bytes]) -> None:
    shown = b" ".join(seen)
    logs = {path.name: path.read_text(errors="replace") for path in site.folder.rglob("*.log")}
    assert logs["broker.log"].count("call refused") > 3
    assert "Handshake failed" in logs["broker.log"]
    assert len(shown) > 10_000
    for secret in site.planted:
        assert secret.encode() not in shown
        for name, text in logs.items():
            assert secret not in text, name
    # Of tokens that came, good or bad, not even the claims.
    for name, text in logs.items():
        assert "eyJ" not in text, name


def _is_logged(site: SecuredSite, rpc: Rpc, error: str) -> bool:
    wanted = f"method={rpc.path} "
    return any(
        wanted in line and f"error={error}" in line for name in site.endpoints for line in site.log(name).splitlines()
    )
