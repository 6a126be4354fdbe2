"""Key and tokens of an embedded instance, minted when it starts and renewed while it runs.

What should not be in this module: what a token may do (`mesh.roles`).
"""

from __future__ import annotations

import getpass
import os
from dataclasses import replace
from datetime import timedelta

from mesh.config import Config
from mesh.errors import NotFound
from mesh.files import write_private
from mesh.redact import redact_url
from mesh.secrets_at_rest import SealingKeys, SecretLocked
from mesh.security import create_signing_key, load_signing_key, mint_token, write_public_key
from trueframe.layout import Layout

LIFETIME = timedelta(days=30)
SERVICE_USER = "trueframe"
"""Whom the parts of an embedded instance call themselves."""


def user_name() -> str:
    """Who runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user-{os.getuid()}"


def mint_tokens(layout: Layout) -> None:
    """Writes `service.token` for the parts and `operator.token` for the owner of the folder; makes the key if needed.

    Whoever owns the folder can mint anything with its key, so the owner's token has the role administrator.
    """
    public_file = layout.keys / "signing.pub"
    try:
        key = load_signing_key(layout.keys / "signing.key")
    except NotFound:
        key = create_signing_key(layout.keys / "signing.key", public_file)
    if not public_file.exists():
        write_public_key(key, public_file)
    write_private(layout.service_token, mint_token(key, SERVICE_USER, "service", ttl=LIFETIME).encode())
    write_private(layout.operator_token, mint_token(key, user_name(), "administrator", ttl=LIFETIME).encode())


def with_sealed_sources(config: Config, layout: Layout) -> Config:
    """The configuration as it may lie in the run folder: passwords of its cameras are sealed, as in the broker's store.

    Where the key is missing though there are cameras, none is made: the broker says what to do.
    """
    secret = [seed for seed in config.cameras if redact_url(seed.source) != seed.source]
    if not secret:
        return config
    keys = SealingKeys(config.credentials_key_file)
    try:
        if not (layout.data / "broker" / "broker.db").exists():
            keys.make_if_absent()
        return replace(
            config,
            cameras=tuple(
                replace(seed, source=keys.seal(seed.source, f"camera {seed.id}")) if seed in secret else seed
                for seed in config.cameras
            ),
        )
    except SecretLocked:
        # The store outranks what is left out here; what is new is added at the start after the key is back.
        return replace(config, cameras=tuple(seed for seed in config.cameras if seed not in secret))
