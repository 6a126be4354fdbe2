"""Key and tokens of an embedded instance, minted when it starts and renewed while it runs.

What should not be in this module: what a token may do (`mesh.roles`).
"""

from __future__ import annotations

import getpass
import os
from datetime import timedelta

from mesh.errors import NotFound
from mesh.files import write_private
from mesh.security import create_signing_key, load_signing_key, mint_token, write_public_key
from trueframe.layout import Layout

LIFETIME = timedelta(days=30)


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
    write_private(layout.service_token, mint_token(key, "trueframe", "service", ttl=LIFETIME).encode())
    write_private(layout.operator_token, mint_token(key, user_name(), "administrator", ttl=LIFETIME).encode())
