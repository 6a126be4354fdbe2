from __future__ import annotations

import subprocess
import sys


def test_what_the_supervisor_uses_does_not_import_grpc() -> None:
    """It starts children, and nothing may fork after grpc was imported."""
    modules = (
        "mesh.clocks, mesh.config, mesh.errors, mesh.files, mesh.ids, mesh.logs, mesh.process, mesh.redact, "
        "mesh.roles, mesh.runner, mesh.security, mesh.tokens"
    )
    program = f"import sys, {modules}; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
