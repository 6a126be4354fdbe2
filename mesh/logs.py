"""Structured logs on stderr: one line a record, `key=value` for people or JSON for machines.

Fields are given by keyword: `log.info("camera connected", camera="gate", epoch=7)`. What does not belong here: what is
worth logging. Texts are redacted as a last resort; callers still pass nothing secret.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from mesh.redact import redact

_ROOT = "tf"
_FIELDS = "trueframe_fields"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
LEVELS = tuple(_LEVELS)
_MAX_RATE_KEYS = 4096


class Logger:
    """A logger with fields. `bind` gives one that adds fields to each of its records."""

    __slots__ = ("_fields", "_logger")

    def __init__(self, logger: logging.Logger, fields: Mapping[str, object]) -> None:
        self._logger = logger
        self._fields = fields

    def bind(self, **fields: object) -> Logger:
        """The same logger with these fields on every record."""
        return Logger(self._logger, {**self._fields, **fields})

    def debug(self, message: str, **fields: object) -> None:
        """For the developer."""
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Something that happens in good order, seldom enough to be read."""
        self._log(logging.INFO, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Something that should not be, and that heals or is worked around."""
        self._log(logging.WARNING, message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Something that a person has to mend."""
        self._log(logging.ERROR, message, fields)

    def exception(self, message: str, **fields: object) -> None:
        """An error, with the traceback of the exception being handled."""
        self._log(logging.ERROR, message, fields, exc_info=True)

    def _log(self, level: int, message: str, fields: Mapping[str, object], exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, message, extra={_FIELDS: {**self._fields, **fields}}, exc_info=exc_info)


def get_logger(name: str, **fields: object) -> Logger:
    """The logger of a module; name it by the module's dotted path."""
    return Logger(logging.getLogger(f"{_ROOT}.{name}"), fields)


def configure(service: str, level: str = "info", *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Sends this process's logs to stderr (or `stream`). Called once, by `run_service` or a command's main."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(_JsonFormatter(service) if as_json else _LineFormatter(service))
    for logger, threshold in ((logging.getLogger(_ROOT), _LEVELS[level]), (logging.getLogger(), logging.WARNING)):
        for old in [h for h in logger.handlers if getattr(h, "trueframe", False)]:
            logger.removeHandler(old)
        handler.trueframe = True  # type: ignore[attr-defined]  # marks ours, so that pytest's own stay
        logger.addHandler(handler)
        logger.setLevel(threshold)
    logging.getLogger(_ROOT).propagate = False


class _RateLimit:
    """Remembers when each key spoke last. Bounded: the oldest keys are forgotten first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, int]] = {}

    def allows(self, key: str, every_s: float) -> tuple[bool, int]:
        now_s = time.monotonic()
        with self._lock:
            last_s, suppressed = self._last.pop(key, (float("-inf"), 0))
            if now_s - last_s < every_s:
                self._last[key] = (last_s, suppressed + 1)
                return False, suppressed
            self._last[key] = (now_s, 0)
            while len(self._last) > _MAX_RATE_KEYS:
                del self._last[next(iter(self._last))]
            return True, suppressed


_rate_limit = _RateLimit()


def rate_limited(key: str, every_s: float = 1.0) -> bool:
    """Whether a record of this key may be written now: at most one in `every_s` seconds in this process.

    >>> if rate_limited(f"loss {camera}", every_s=1):  # doctest: +SKIP
    ...     log.warning("packets lost", camera=camera, lost=counter)
    """
    return _rate_limit.allows(key, every_s)[0]


def _timestamp(created_s: float) -> str:
    seconds, fraction = divmod(created_s, 1)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(fraction * 1000):03d}Z"


class _LineFormatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_quoted(value)}" for key, value in getattr(record, _FIELDS, {}).items())
        name = record.name.removeprefix(f"{_ROOT}.")
        text = (
            f"{_timestamp(record.created)} {record.levelname.lower():<7} {self._service} {name}: "
            f"{_one_line(record.getMessage())}{fields}"
        )
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return redact(text)


class _JsonFormatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name.removeprefix(f"{_ROOT}."),
            "message": redact(record.getMessage()),
        }
        for key, value in getattr(record, _FIELDS, {}).items():
            plain = value if isinstance(value, bool | int | float) or value is None else redact(str(value))
            row[key if key not in row else f"field_{key}"] = plain
        if record.exc_info:
            row["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(row, ensure_ascii=False)


def _one_line(text: str) -> str:
    # A camera's answer may hold line breaks or terminal escapes: neither may forge or hide a record.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _quoted(value: object) -> str:
    text = _one_line(str(value))
    return text if text and not any(c in text for c in ' "=') else json.dumps(text, ensure_ascii=False)
