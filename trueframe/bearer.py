"""Whom a token names and what they may do, for views that dim keys. Reads, proves nothing: services verify.

What should not be in this module: deciding anything that matters (`mesh.interceptor` does, in every service).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from mesh.roles import Role, roles_for


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who looks at the screen. `role` is empty if the token could not be read: then nothing is dimmed."""

    name: str = ""
    role: str = ""

    def why_not(self, rpc: str) -> str:
        """Why this bearer may not call an rpc, as "needs the role operator"; empty if they may or it is not known."""
        roles = roles_for(rpc) or frozenset()
        if not rpc or not self.role or self.role in roles:
            return ""
        least = next((str(role) for role in Role if role in roles), "another role")
        return f"needs the role {least}; you are {self.role}"


def bearer_of(token: str) -> Bearer:
    """Whom a token names; nobody if it cannot be read."""
    try:
        body = token.strip().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return Bearer(str(claims["sub"]), str(claims["role"]))
    except (ValueError, IndexError, KeyError, TypeError):
        return Bearer()
