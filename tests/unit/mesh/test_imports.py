from __future__ import annotations

import subprocess
import sys


def test_what_the_supervisor_uses_does_not_import_grpc() -> None:
    """It starts children, and nothing may fork after grpc was imported."""
    modules = "clocks config errors files ids logs process redact roles runner security tokens".split()
    program = f"import sys; import {', '.join(f'mesh.{name}' for name in modules)}; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
