"""A site in mesh mode as clients know it: a configuration file with endpoints, certificates and a token's file.

    [broker]
    endpoint = "broker.site:7411"
    [security]
    token_file = "olga.token"
    [security.tls]
    ca_file = "ca.crt"
    certificate_file = "olga.crt"
    key_file = "olga.key"

$TRUEFRAME_CONFIG names the file. What should not be in this module: instances of this machine (`running`).
"""

from __future__ import annotations

import os
from pathlib import Path

from mesh.config import Config, load
from trueframe.running import Running

VARIABLE = "TRUEFRAME_CONFIG"
_SECTIONS = ("broker", "pixels", "media_center", "event_center", "aggregate")


def site_of_environment() -> Config | None:
    """The site that $TRUEFRAME_CONFIG names; None without it. Raises NotFound, InvalidArgument."""
    path = os.environ.get(VARIABLE)
    return load(Path(path).expanduser()) if path else None


def running_site(config: Config) -> Running:
    """Where a site's services are, in the form of a running instance of this machine."""
    endpoints = {section: str(getattr(config, section).endpoint) for section in _SECTIONS}
    return Running(
        pid=0,
        started_ns=0,
        data=str(config.run.data_dir),
        config=os.environ.get(VARIABLE, ""),
        token_file=str(config.token_file),
        endpoints=endpoints | {"nats": config.nats.url, "rings": str(config.rings_socket)},
    )
