#!/usr/bin/env python3
"""Builds FerretDB 1.24.2 (SQLite backend) into ~/.cache/trueframe/ferretdb-1.24.2, skipped when it is there.

It is the server of MongoDB's wire protocol that tests talk to: no mongod is in Debian, PyPI or npm. Sources and, where
no Go of 1.24 or later is on the machine, the Go tool chain come from the Go module proxy ($GOPROXY) as zips whose
digests stand here. `go install …@v1.24.2` is not used: it asks the proxy for the list of versions, which some refuse.
Runs with Debian's own python3. About two minutes on two cores, 1 GB in a temporary folder that is removed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

VERSION = "1.24.2"
TARGET = Path.home() / ".cache" / "trueframe" / f"ferretdb-{VERSION}" / "ferretdb"
SOURCES = (
    f"github.com/!ferret!d!b/!ferret!d!b/@v/v{VERSION}.zip",
    "a9465bf03a128a6a1937cd2697fd7e3681f817628940d5030108b5f508855ac3",
)
TOOLCHAIN = (
    "golang.org/toolchain/@v/v0.0.1-go1.26.8.linux-amd64.zip",
    "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7",
)
OLDEST_GO = (1, 24)


def proxy() -> str:
    """The first proxy that $GOPROXY names."""
    named = [one for one in re.split(r"[,|]", os.environ.get("GOPROXY", "")) if one.startswith("http")]
    return named[0].rstrip("/") if named else "https://proxy.golang.org"


def fetch(what: tuple[str, str], folder: Path) -> Path:
    """Downloads a module's zip, compares its digest and unpacks it; returns the folder of the module."""
    path, digest = what
    archive = folder / "module.zip"
    for attempt in range(4):
        try:
            with urllib.request.urlopen(f"{proxy()}/{path}", timeout=60) as answer, archive.open("wb") as file:
                shutil.copyfileobj(answer, file)
            break
        except OSError as error:
            if attempt == 3:
                raise SystemExit(f"build-ferretdb: {proxy()}/{path}: {error}") from None
            time.sleep(2**attempt)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != digest:
        raise SystemExit(f"build-ferretdb: {proxy()}/{path} has digest {found}, not {digest}")
    with zipfile.ZipFile(archive) as members:
        members.extractall(folder)
        first = members.namelist()[0]
    archive.unlink()
    return folder / Path(*Path(first).parts[: next(i for i, part in enumerate(Path(first).parts) if "@" in part) + 1])


def go(folder: Path) -> str:
    """A Go that is new enough: of this machine, else a fetched one."""
    path = os.environ.get("PATH", "") + ":/usr/local/go/bin"
    here = shutil.which("go", path=path)
    if here:
        text = subprocess.run(
            [here, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        ).stdout
        version = re.match(r"go(\d+)\.(\d+)", text)
        if version and (int(version[1]), int(version[2])) >= OLDEST_GO:
            return here
    unpacked = fetch(TOOLCHAIN, folder / "toolchain")
    # Zips of modules carry no modes.
    for program in [*(unpacked / "bin").iterdir(), *(unpacked / "pkg" / "tool").rglob("*")]:
        if program.is_file():
            program.chmod(0o755)
    return str(unpacked / "bin" / "go")


def main() -> None:
    """Builds it, unless it is there."""
    if TARGET.exists():
        print(f"FerretDB {VERSION} is built")
        return
    print(f"building FerretDB {VERSION} (a few minutes)", flush=True)
    with tempfile.TemporaryDirectory(prefix="ferretdb-") as name:
        folder = Path(name)
        (folder / "toolchain").mkdir()
        sources = fetch(SOURCES, folder)
        # What their release task writes; without it the program refuses to start.
        (sources / "build" / "version" / "version.txt").write_text(f"v{VERSION}\n")
        (sources / "build" / "version" / "package.txt").write_text("trueframe-tests\n")
        program = go(folder)
        environment = {
            **os.environ,
            "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOPROXY": f"{proxy()}",
            # go.sum of the sources, whose digest was compared, names those of all it needs; -modcacherw: so that the
            # folder can be removed.
            "GOFLAGS": "-buildvcs=false -mod=readonly -modcacherw -trimpath", "GONOSUMDB": "*", "GONOSUMCHECK": "1",
            "GOPATH": str(folder / "go"), "GOMODCACHE": str(folder / "go" / "mod"), "GOCACHE": str(folder / "cache"),
        }  # fmt: skip
        environment.pop("GOROOT", None)
        built = folder / "ferretdb"
        command = [program, "build", "-ldflags", "-s -w", "-o", str(built), "./cmd/ferretdb"]
        done = subprocess.run(command, cwd=sources, env=environment, check=False)
        if done.returncode:
            raise SystemExit(f"build-ferretdb: `go build` failed with {done.returncode}")
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        # In one step: another build at the same time does no harm.
        beside = TARGET.with_name(f".ferretdb.{os.getpid()}")
        shutil.copy2(built, beside)
        beside.rename(TARGET)
    subprocess.run([str(TARGET), "--version"], check=True, stdout=subprocess.DEVNULL)
    print(f"FerretDB {VERSION}: {TARGET}")


if __name__ == "__main__":
    sys.exit(main())
