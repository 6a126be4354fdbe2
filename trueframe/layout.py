"""Where things lie below a data folder: the one place outside `mesh.config` that knows the names of folders and files.

What should not be in this module: creating them (`preflight`), reading `run.json` (`running`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mesh.config import default_run_dir

DEFAULT_DATA = "trueframe-data"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one data folder. `sockets` differs from `run` only where socket paths would be too long."""

    data: Path
    sockets: Path

    @property
    def run(self) -> Path:
        """What only matters while it runs: lock, run.json, the resolved configuration."""
        return self.data / "run"

    @property
    def keys(self) -> Path:
        """The signing key and the tokens minted with it."""
        return self.data / "keys"

    @property
    def logs(self) -> Path:
        """One bounded log a child."""
        return self.data / "logs"

    @property
    def run_json(self) -> Path:
        """How other commands find the running instance."""
        return self.run / "run.json"

    @property
    def lock(self) -> Path:
        """Held (flock) by the supervisor for as long as it lives."""
        return self.run / "lock"

    @property
    def config(self) -> Path:
        """The resolved configuration that all children read."""
        return self.run / "trueframe.toml"

    @property
    def operator_token(self) -> Path:
        """The token of whoever owns the data folder."""
        return self.keys / "operator.token"

    @property
    def service_token(self) -> Path:
        """The token that services show each other."""
        return self.keys / "service.token"

    @property
    def nats_token(self) -> Path:
        """The token of this data folder's NATS."""
        return self.keys / "nats.token"


def layout_of(data: str | Path) -> Layout:
    """The layout of a data folder, which need not exist yet."""
    folder = Path(data).expanduser().resolve()
    return Layout(folder, default_run_dir(folder))
