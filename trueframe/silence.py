"""The alarm of a command that waits for news of one service: is there no news, or does nobody tell it?

What should not be in this module: what views show of several services (`situation`), the event center's own watching.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from trueframe.running import Running
from trueframe.situation import SERVICE_NAMES
from trueframe.times import show_duration, show_time

if TYPE_CHECKING:
    import grpc

EVERY_S = 2.0
ANSWER_WITHIN_S = 3.0
SILENT_AFTER_S = 5.0


@contextlib.contextmanager
def told_if_silent(
    running: Running, service: str, say: Callable[[str], None], silent_after_s: float = SILENT_AFTER_S
) -> Iterator[None]:
    """For the time of a block, `say` is called (in another thread) when the service is silent, and when it is back."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(running.endpoints[service], SERVICE_NAMES[service], say, silent_after_s, ended),
        name=f"silence of {service}", daemon=True,
    )  # fmt: skip
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _watch(endpoint: str, name: str, say: Callable[[str], None], silent_after_s: float, ended: threading.Event) -> None:
    from mesh.channel import connect_sync
    from mesh.tls import ClientTls
    from trueframe.site import site_of_environment

    site = site_of_environment()
    tls = ClientTls.from_config(site.security.tls) if site is not None else None
    heard_s, is_told = time.monotonic(), False
    while not ended.wait(EVERY_S):
        # A line of its own each time: one that broke would wait before it is made again.
        channel = connect_sync(endpoint, None, tls=tls)
        try:
            answers = _serves(channel)
        finally:
            channel.close()
        silent_s = time.monotonic() - heard_s
        if answers:
            if is_told:
                say(f"{show_time(time.time_ns())}  {name} answers again, after {show_duration(silent_s)}")
            heard_s, is_told = time.monotonic(), False
        elif silent_s >= silent_after_s and not is_told and not ended.is_set():
            is_told = True
            say(f"{show_time(time.time_ns())}  ALARM  {name} does not answer: what happens now is not told here")


def _serves(channel: grpc.Channel) -> bool:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from mesh.errors import TrueframeError

    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_WITHIN_S)
    except (grpc.RpcError, TrueframeError):
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
