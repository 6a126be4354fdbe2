"""How hypothesis runs here: without deadlines, because the machine is shared and AddressSanitizer is slow."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "core",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("TRUEFRAME_EXAMPLES", "100")),
)
settings.load_profile("core")
