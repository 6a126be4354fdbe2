"""`python -m tui --data DIR`: the terminal wall of a running instance; `--config FILE` for endpoints of your own.

What should not be in this module: anything that draws.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mesh.config import load
from mesh.config_security import TlsConfig
from mesh.errors import TrueframeError, Unavailable
from mesh.process import die_with_parent


def endpoints_of(arguments: argparse.Namespace) -> tuple[dict[str, str], Path, TlsConfig | None]:
    """Where the services are, the file of the token to show them, and certificates. Raises TrueframeError."""
    if arguments.config is not None:
        config = load(arguments.config, arguments.set)
        sections = ("broker", "pixels", "media_center", "event_center", "aggregate")
        operator_token = config.run.data_dir / "keys" / "operator.token"
        token_file = operator_token if operator_token.exists() else config.token_file
        return {section: getattr(config, section).endpoint for section in sections}, token_file, config.security.tls
    from trueframe.running import find_running

    running = find_running(arguments.data)
    return running.endpoints, Path(running.token_file), None


def run(arguments: argparse.Namespace) -> int:
    """Shows the wall until the user leaves it; returns the exit code."""
    endpoints, token_file, tls_config = endpoints_of(arguments)
    if named := arguments.token or os.environ.get("TRUEFRAME_TOKEN_FILE"):
        token_file = Path(named).expanduser()
    # textual-serve shows the wall in a browser: it gives pipes, and names its driver.
    if "TEXTUAL_DRIVER" not in os.environ and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Unavailable("terminal wall", "this is no terminal", "`trueframe up --headless` prints lines instead")
    # After the checks, so that a mistake is told at once.
    from mesh.channel import Credentials
    from mesh.files import read_secret
    from mesh.tls import ClientTls
    from trueframe.bearer import bearer_of
    from trueframe.feeds import Feeds
    from trueframe.situation import Situation
    from tui.app import WallApp
    from tui.desk import ServiceDesk

    tls = ClientTls.from_config(tls_config) if tls_config is not None else None
    situation = Situation()
    feeds: Feeds | None = None
    wanted: list[tuple[int, int, tuple[str, ...]]] = []

    async def feed() -> None:
        nonlocal feeds
        feeds = Feeds(endpoints, Credentials.from_file(token_file, tls), situation)
        feeds.on_camera, feeds.on_event = app.camera_told, app.event_told
        if wanted:
            feeds.want_pictures(*wanted[-1])
        await feeds.run(lists_past=True)

    def want_pictures(width: int, height: int, cameras: tuple[str, ...]) -> None:
        wanted[:] = [(width, height, cameras)]
        if feeds is not None:
            feeds.want_pictures(width, height, cameras)

    bearer = bearer_of(read_secret(token_file))
    app = WallApp(situation, ServiceDesk(lambda: feeds), feed, want_pictures, bearer, arguments.duration_s)
    code = app.run()
    return app.return_code or (code if code is not None else 0)


def main() -> None:
    """The process."""
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m tui", description="The terminal wall of trueframe.")
    parser.add_argument("--data", default="trueframe-data", help="data folder of the running instance")
    parser.add_argument("--config", type=Path, help="configuration with the endpoints, instead of --data")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--token", metavar="FILE", help="token to show ($TRUEFRAME_TOKEN_FILE)")
    parser.add_argument("--for", dest="duration_s", type=float, metavar="SECONDS", help="leave after this time")
    arguments = parser.parse_args()
    try:
        sys.exit(run(arguments))
    except TrueframeError as error:
        sys.stderr.write(f"trueframe: {' '.join(str(error).split())}\n")
        sys.exit(3 if isinstance(error, Unavailable) else 2)


if __name__ == "__main__":
    main()
