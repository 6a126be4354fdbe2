"""One Prometheus page for all services of an embedded instance: each sample with a label that says whose it is.

What should not be in this module: what is measured (`mesh.metrics` and the services).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from mesh.errors import PortInUse

FETCH_WITHIN_S = 3.0
LARGEST_PAGE = 4 << 20
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?(?P<rest> .*)")


def merge_pages(pages: Mapping[str, str]) -> str:
    """Pages by service as one page: `# HELP` and `# TYPE` once a metric, its samples together. Pure."""
    heads: dict[str, dict[str, str]] = {}
    samples: dict[str, list[str]] = {}
    for service, page in pages.items():
        metric = ""
        for line in page.splitlines():
            if line.startswith("# "):
                _, kind, metric, *_ = line.split(" ", 3)
                heads.setdefault(metric, {}).setdefault(kind, line)
                samples.setdefault(metric, [])
            elif found := _SAMPLE.fullmatch(line):
                labels = f'service="{service}"' + (f",{found['labels']}" if found["labels"] else "")
                samples.setdefault(metric or found["name"], []).append(f"{found['name']}{{{labels}}}{found['rest']}")
    lines = []
    for metric, rows in samples.items():
        lines += [*heads.get(metric, {}).values(), *rows]
    return "\n".join(lines) + "\n"


async def _fetch(url: str) -> str:
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    async with asyncio.timeout(FETCH_WITHIN_S):
        reader, writer = await asyncio.open_connection(name, int(port))
        try:
            writer.write(f"GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            answer = await reader.read(LARGEST_PAGE)
            while more := await reader.read(LARGEST_PAGE):
                answer += more
        finally:
            writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode(errors="replace")


def _urls(folder: Path) -> dict[str, str]:
    return {file.stem: file.read_text().strip() for file in sorted(folder.glob("*.metrics"))}


async def collect(folder: Path) -> str:
    """The page of all services that wrote `SERVICE.metrics` into the run folder, and which of them answer."""
    pages: dict[str, str] = {}
    name = "trueframe_service_up"
    up = [f"# HELP {name} Whether the service's own metrics could be read.", f"# TYPE {name} gauge"]
    for service, url in _urls(folder).items():
        try:
            pages[service] = await _fetch(url)
        except (OSError, ValueError, TimeoutError):
            pages.pop(service, None)
        up.append(f'{name}{{service="{service}"}} {int(service in pages)}')
    return "\n".join(up) + "\n" + merge_pages(pages)


async def serve_metrics(port: int, folder: Path) -> asyncio.Server:
    """Serves that page on 127.0.0.1:port. Raises PortInUse."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(FETCH_WITHIN_S):
                request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith((b"GET / ", b"GET /metrics ")):
                body = (await collect(folder)).encode()
                head = "200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8"
            else:
                head, body = "404 Not Found\r\nContent-Type: text/plain", b"metrics are at /metrics\n"
            writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    try:
        return await asyncio.start_server(answer, "127.0.0.1", port)
    except OSError as error:
        raise PortInUse(
            f"port {port} for metrics", error.strerror or str(error), "Choose another with --metrics-port."
        ) from None
