"""Opens the connection to a camera, by TCP or TLS, and says in words why it cannot.

Belongs here: addresses, time-outs, certificates. Does not belong here: what is said over it (`session`).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from broker.errors import SourceFailure, SourceUnreachable
from broker.rtsp import tls
from broker.sources.notation import HttpSource, RtspSource

_CHECK = "Check the address, the camera and the network."

Connection = TypeVar("Connection", bound=asyncio.BaseProtocol)


async def dial(source: RtspSource | HttpSource, make: Callable[[], Connection], timeout_s: float) -> Connection:
    """What `make` made, with an open connection to the camera. Raises SourceUnreachable, SourceUntrusted."""
    context = tls.context_for(source.tls_sha256) if source.is_tls else None
    try:
        async with asyncio.timeout(timeout_s):
            transport, connection = await asyncio.get_running_loop().create_connection(
                make, source.host, source.port, ssl=context
            )
    except ssl.SSLError as error:
        raise await tls.untrusted(source.thing, source.host, source.port, error) from error
    except (TimeoutError, OSError) as error:
        raise unreachable(source, error, timeout_s) from error
    if source.tls_sha256:
        try:
            # Before anything is said: credentials are for the pinned camera only.
            ssl_object = transport.get_extra_info("ssl_object")
            tls.check_pin(source.thing, ssl_object.getpeercert(binary_form=True), source.tls_sha256)
        except BaseException:
            transport.abort()
            raise
    return connection


def unreachable(source: RtspSource | HttpSource, error: Exception, timeout_s: float) -> SourceFailure:
    """What an error of `create_connection` means."""
    thing, port_of = source.thing, "HTTP" if isinstance(source, HttpSource) else "RTSP"
    if isinstance(error, socket.gaierror):
        return SourceUnreachable(thing, f"the host name cannot be resolved ({error.strerror})", "Check the name.")
    if isinstance(error, ConnectionRefusedError) or getattr(error, "errno", None) == errno.ECONNREFUSED:
        return SourceUnreachable(thing, "refuses the connection", f"Check the port; is {port_of} switched on?")
    if isinstance(error, TimeoutError) and not getattr(error, "errno", None):
        remedy = "Check the address, and whether the camera speaks TLS on that port." if source.is_tls else _CHECK
        return SourceUnreachable(thing, f"does not answer within {timeout_s:g} s", remedy)
    if source.is_tls and isinstance(error, ConnectionError):
        return SourceUnreachable(thing, "closed the connection during the TLS handshake", "Check the port.")
    # asyncio writes the address into the text of its own errors; the number tells what happened.
    number = getattr(error, "errno", None)
    return SourceUnreachable(thing, f"cannot be reached ({os.strerror(number) if number else error})", _CHECK)
