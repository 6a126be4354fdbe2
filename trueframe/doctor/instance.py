"""The instance, if it runs: its parts, NATS, cameras, recording, inspections. Every question has a deadline.

What should not be in this module: what does not need it to run.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from mesh.config import Config
from mesh.errors import TrueframeError
from mesh.redact import redact
from trueframe.doctor.finding import Area, Finding
from trueframe.running import NotRunning, Running, find_running

if TYPE_CHECKING:
    from trueframe.client import Client

_here = Area("instance")

SERVICES = ("broker", "pixels", "media_center", "event_center", "aggregate")
ANSWER_WITHIN_S = 3.0
MANY_RESTARTS = 3
MOST_NAMED = 8


def examine_instance(config: Config, site: Running | None) -> Iterator[Finding]:
    """All checks of what runs. `site`: where services of a mesh are; None for an instance of this machine."""
    try:
        running = site or find_running(config.run.data_dir)
    except NotRunning as error:
        yield _here.warning("running", f"{error.reason}.", error.remedy)
        yield from _ports(config)
        return
    if site is None:
        yield _here.ok("running", f"process {running.pid}, data {running.data}.")
        yield from judge_children(running.children, running.restarts, is_alive)
    answers = asyncio.run(_answers(config, {name: running.endpoints[name] for name in SERVICES}))
    for name, why in answers.items():
        yield judge_service(name, running.endpoints[name], why)
    yield _nats(running.endpoints["nats"])
    yield from _inside(config, site, {name for name, why in answers.items() if not why})


def _ports(config: Config) -> Iterator[Finding]:
    """Of an instance that does not run: whether what it will listen on is free."""
    for name in SERVICES:
        endpoint = getattr(config, name).endpoint
        host, _, port = endpoint.rpartition(":")
        if endpoint.startswith("unix:") or not port.isdigit() or port == "0":
            continue
        if _connects(host.strip("[]"), int(port)):
            remedy = f"Stop it, or choose another in {name}.endpoint."
            yield _here.failure(f"port {port}", f"somebody listens on {endpoint} already.", remedy)
        else:
            yield _here.ok(f"port {port}", f"is free for {name}.")


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=ANSWER_WITHIN_S):
            return True
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def judge_children(
    children: Mapping[str, int], restarts: Mapping[str, int], alive: Callable[[int], bool]
) -> Iterator[Finding]:
    """Whether every part lives, and has lived without dying often."""
    for name, pid in children.items():
        count = restarts.get(name, 0)
        logs = f"See logs/{name.replace(' ', '-')}.log in the data folder."
        if not alive(pid):
            yield _here.failure(f"process of {name}", f"process {pid} is gone.", f"It is started again. {logs}")
        elif count >= MANY_RESTARTS:
            yield _here.warning(f"process of {name}", f"was started again {count} times.", logs)
        else:
            yield _here.ok(f"process of {name}", f"process {pid} lives, started again {count} times.")


async def _answers(config: Config, endpoints: Mapping[str, str]) -> dict[str, str]:
    """Of each service why it does not serve; "" if it does."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from mesh.channel import connect
    from mesh.errors import from_rpc_error
    from mesh.tls import ClientTls

    tls = ClientTls.from_config(config.security.tls)

    async def ask(endpoint: str) -> str:
        try:
            channel = connect(endpoint, None, tls=tls)
            try:
                stub = health_pb2_grpc.HealthStub(channel)
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_WITHIN_S)
            finally:
                await channel.close()
        except grpc.RpcError as error:
            return from_rpc_error(error).reason
        except TrueframeError as error:
            return error.reason
        return "" if answer.status == health_pb2.HealthCheckResponse.SERVING else "says that it does not serve"

    told = await asyncio.gather(*map(ask, endpoints.values()))
    return dict(zip(endpoints, told, strict=True))


def judge_service(name: str, endpoint: str, why: str) -> Finding:
    """Whether it answers."""
    if not why:
        return _here.ok(f"service {name}", "serves.")
    remedy = "See its log; a process that lives and does not answer is ended with SIGKILL and started again by `up`."
    return _here.failure(f"service {name}", f"at {endpoint}: {redact(why)}.", remedy)


def _nats(urls: str) -> Finding:
    from urllib.parse import urlsplit

    wrong = []
    for url in urls.split(","):
        place = urlsplit(url.strip())
        host, port = place.hostname or "127.0.0.1", place.port or 4222
        try:
            with socket.create_connection((host, port), timeout=ANSWER_WITHIN_S) as connection:
                connection.settimeout(ANSWER_WITHIN_S)
                greeting = connection.makefile("rb").readline(1 << 16)
        except OSError as error:
            wrong.append(f"{host}:{port} does not answer ({error.strerror or error})")
            continue
        if not greeting.startswith(b"INFO "):
            wrong.append(f"{host}:{port} is no NATS server")
        elif b'"jetstream":true' not in greeting:
            wrong.append(f"{host}:{port} has JetStream off")
    if wrong:
        remedy = "Start it; meanwhile outboxes keep what is to be told, and alarms come late."
        return _here.failure("NATS", f"{'; '.join(wrong)}.", remedy)
    return _here.ok("NATS", "answers, with JetStream on.")


def _inside(config: Config, site: Running | None, serving: Container[str]) -> Iterator[Finding]:
    """What services tell of cameras, limits, disks and inspections. One that cannot be asked is a finding, too.

    Those that do not serve are not asked: that is known, and each would be waited for.
    """
    from trueframe.client import connect

    questions = (
        ("broker", "cameras", _cameras), ("broker", "limits", _limits), ("media_center", "recording", _recording),
        ("aggregate", "inspections", _inspections),
    )  # fmt: skip
    try:
        client = connect(None if site is not None else config.run.data_dir)
    except TrueframeError as error:
        yield _here.failure("client", f"{error.thing} {error.reason}.", error.remedy)
        return
    with client:
        for name, question in ((name, question) for service, name, question in questions if service in serving):
            try:
                yield from question(client)
            except TrueframeError as error:
                text = redact(f"cannot be asked: {error.reason}.")
                yield _here.failure(name, text, error.remedy or "Look at the services above.")


def _cameras(client: Client) -> Iterator[Finding]:
    from trueframe.sights import camera_state

    found = list(client.broker.list_cameras())
    states = {camera.spec.id: camera_state(camera.state) for camera in found}
    yield judge_cameras(states)
    clocks = [camera.spec.id for camera in found if camera.clock.detail]
    if clocks:
        remedy = "Point them at the NTP server of this site; `trueframe cameras show` says how wrong they are."
        yield _here.warning("clocks of cameras", f"wrong: {_named(clocks)}.", remedy)


def judge_cameras(states: Mapping[str, str]) -> Finding:
    """Whether each that is wanted gives pictures."""
    wanted = {camera: state for camera, state in states.items() if state != "disabled"}
    bad = [f"{camera} {state}" for camera, state in sorted(wanted.items()) if state != "live"]
    text = f"{len(wanted) - len(bad)} of {len(wanted)} live"
    if bad:
        remedy = "`trueframe cameras show CAMERA` says why, and `trueframe cameras probe` what it answers."
        return _here.warning("cameras", f"{text}; {_named(bad)}.", remedy)
    return _here.ok("cameras", f"{text}.")


def _limits(client: Client) -> Iterator[Finding]:
    bad = [load for load in client.broker.load() if load.degraded]
    for load in bad:
        yield _here.warning(f"limit {load.name}", f"{load.detail}.", "See docs/guide/cameras.md on sizing.")
    if not bad:
        yield _here.ok("limits", "the broker is within all of them.")


def _recording(client: Client) -> Iterator[Finding]:
    found = client.footage.storage()
    for tier in found.tiers:
        if tier.detail:
            yield _here.failure(f"disk {tier.name}", f"{tier.detail}.", "`trueframe storage` shows space and speed.")
        else:
            yield _here.ok(f"disk {tier.name}", "takes footage.")
    if found.damaged_segments:
        text = f"{found.damaged_segments} segments or chains are not as they were recorded."
        yield _here.failure("footage", text, "`trueframe scrub` and `trueframe verify` say which.")


def _inspections(client: Client) -> Iterator[Finding]:
    statuses = list(client.inspections.list())
    wrong = [f"{one.inspection.id}: {one.problem}" for one in statuses if one.problem]
    if wrong:
        yield _here.warning("inspections", f"{_named(wrong)}.", "`trueframe inspections list` shows them all.")
    else:
        yield _here.ok("inspections", f"{len(statuses)}, as ordered.")


def _named(things: Iterable[str]) -> str:
    """The first few, and how many more."""
    all_of_them = list(things)
    more = len(all_of_them) - MOST_NAMED
    return "; ".join(thing.rstrip(".") for thing in all_of_them[:MOST_NAMED]) + (
        f"; and {more} more" if more > 0 else ""
    )
