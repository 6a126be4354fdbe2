"""What the user sees of an instance: the terminal wall or the headless printer, a child in the foreground.

What should not be in this module: what they show (`tui`, `trueframe.headless`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Mapping

from trueframe.layout import Layout

STOP_WITHIN_S = 10.0
MOST_CRASHES = 3
CRASH_WINDOW_S = 60.0


class View:
    """Runs one view; a wall that crashes is opened again, and gives way to lines if it goes on crashing."""

    def __init__(
        self,
        headless: bool,
        duration_s: float | None,
        layout: Layout,
        environment: Mapping[str, str],
        tell: Callable[[str, str], None],
    ) -> None:
        self._headless = headless
        self._ends_at = None if duration_s is None else time.monotonic() + duration_s
        self._duration_s = duration_s
        self._layout = layout
        self._environment = environment
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "trueframe.headless" if self._headless else "tui"]
        command += ["--data", str(self._layout.data)]
        if self._ends_at is not None:
            command += ["--for", f"{max(0.1, self._ends_at - time.monotonic()):.3f}"]
        return command

    async def run(self) -> int:
        """Runs until the user leaves it, its time is over or `stop` is called; returns the exit code."""
        if self._duration_s is not None:
            self._ends_at = time.monotonic() + self._duration_s
        crashes: list[float] = []
        while True:
            # The child shares terminal and foreground group: keys and Ctrl-C are its own.
            self._process = await asyncio.create_subprocess_exec(*self._command(), env=dict(self._environment))
            code = await self._process.wait()
            if self._is_stopping or code in (0, 1):
                return max(code, 0)
            now = time.monotonic()
            crashes = [*(moment for moment in crashes if now - moment < CRASH_WINDOW_S), now]
            what = "the printer" if self._headless else "the terminal wall"
            self._tell("error", f"{what} ended with {code}; everything else goes on")
            if len(crashes) >= MOST_CRASHES:
                if self._headless:
                    return 1
                self._headless, crashes = True, []
            await asyncio.sleep(0.5)

    async def stop(self) -> None:
        """Asks the view to say its last words and end."""
        self._is_stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
