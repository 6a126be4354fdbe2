"""The life of a service process: arguments, configuration, logs, signals, the parent, one-line errors, exit codes.

Exit codes: 0 stopped as asked, 1 failed, 2 refused its input. Free of gRPC at import.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NoReturn

from mesh import logs
from mesh.config import Config, load
from mesh.errors import InvalidArgument, NotFound, TrueframeError, first_known
from mesh.files import private_folder
from mesh.process import die_with_parent
from mesh.redact import redact

log = logs.get_logger("mesh.runner")

Main = Callable[[Config], Awaitable[object]]
# A service that has not ended so long after being asked to is ended: its parent may be gone already.
STOP_WITHIN_S = 15.0
_EXIT_FAILED = 1
_EXIT_BAD_INPUT = 2


def run_service(main: Main, name: str | None = None, *, stop_within_s: float = STOP_WITHIN_S) -> None:
    """Runs a service's main coroutine until it ends, or until SIGTERM or SIGINT cancels it; then exits the process.

    `name` is by default that of the package run with `python -m`. On a signal, `main` is cancelled once and has
    `stop_within_s` seconds to put things in order.
    """
    service = name or _package_name()
    # First of all: whatever fails later, this process must not outlive its supervisor.
    die_with_parent()
    arguments = _parse_arguments(service)
    try:
        config = load(arguments.config, arguments.set)
    except TrueframeError as error:
        _refuse(service, error)
    logs.configure(service, config.run.log_level, as_json=config.run.log_json)
    try:
        private_folder(config.run_dir)
        with _metrics(config, service):
            asyncio.run(_run(main, config, stop_within_s))
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    except BaseException as error:
        known = first_known(error)
        if known is None:
            log.exception("service failed")
            _say(service, f"failed: {_innermost(error)!r}")
            sys.exit(_EXIT_FAILED)
        _refuse(service, known)


def _refuse(service: str, error: TrueframeError) -> NoReturn:
    _say(service, str(error))
    sys.exit(_EXIT_BAD_INPUT if isinstance(error, InvalidArgument | NotFound) else _EXIT_FAILED)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say(service: str, text: str) -> None:
    sys.stderr.write(f"{service}: {redact(' '.join(text.split()))}\n")


async def _run(main: Main, config: Config, stop_within_s: float) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main(config))
    stopping = False

    def stop(signal_number: signal.Signals) -> None:
        nonlocal stopping
        if stopping:
            return
        stopping = True
        log.info("stopping", signal=signal_number.name)
        _end_for_sure(stop_within_s)
        task.cancel()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop, signal_number)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _end_for_sure(after_s: float) -> None:
    def end() -> None:
        log.error("did not stop in time", after_s=after_s)
        sys.stderr.flush()
        os._exit(_EXIT_FAILED)

    timer = threading.Timer(after_s, end)
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def _metrics(config: Config, service: str) -> Iterator[None]:
    if not config.run.metrics:
        yield
        return
    from mesh.metrics import MetricsEndpoint

    endpoint = MetricsEndpoint(config.run.metrics_port, config.run_dir / f"{service}.metrics")
    log.info("metrics", url=endpoint.url)
    try:
        yield
    finally:
        endpoint.close()


def _parse_arguments(service: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {service}", description=f"The {service} of trueframe.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML configuration file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="outranks file and environment; repeatable",
    )
    return parser.parse_args()


def _package_name() -> str:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    return Path(sys.argv[0]).stem or "service"
