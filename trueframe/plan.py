"""What an embedded instance consists of: which children, with which commands, in which order.

What should not be in this module: starting them (`supervisor`), keeping them running (`children`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from mesh.config import Config
from trueframe.children import ChildSpec
from trueframe.health import is_serving
from trueframe.layout import Layout
from trueframe.nats import answers_as_nats

# Children of a group start together; a group starts when the one before is ready, and stops before it.
SERVICES = (
    ("broker", "broker", "broker"),
    ("pixel host", "broker.pixel", "pixels"),
    ("media center", "media_center", "media_center"),
    ("event center", "event_center", "event_center"),
    ("aggregate", "aggregate", "aggregate"),
)


def socket_path(endpoint: str) -> Path:
    """The file of a `unix:` endpoint."""
    return Path(endpoint.removeprefix("unix:"))


def nats_spec(nats_server: str, config_file: Path, port: int, environment: Mapping[str, str]) -> ChildSpec:
    """nats-server, tied to the life of the supervisor."""

    async def is_ready() -> bool:
        return await answers_as_nats(port)

    return ChildSpec(
        "nats",
        (sys.executable, "-m", "mesh.process", nats_server, "-c", str(config_file)),
        environment,
        is_ready,
        ready_within_s=30.0,
    )


def service_specs(config: Config, layout: Layout, environment: Mapping[str, str]) -> list[list[ChildSpec]]:
    """The services, in groups."""

    def spec(name: str, module: str, section: str) -> ChildSpec:
        path = socket_path(getattr(config, section).endpoint)

        async def is_ready() -> bool:
            return await is_serving(path)

        return ChildSpec(name, (sys.executable, "-m", module, "--config", str(layout.config)), environment, is_ready)

    broker, *others = (spec(*service) for service in SERVICES)
    worker = ChildSpec("worker", (sys.executable, "-m", "detector_pool", "--config", str(layout.config)), environment)
    groups = [[broker], others, [worker]]
    if config.learning.enabled:
        command = (sys.executable, "-m", "trueframe.learner", "--config", str(layout.config))
        groups.append([ChildSpec("learner", command, environment)])
    return groups
