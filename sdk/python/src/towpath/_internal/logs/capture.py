"""Sends `print`, `logging` and `warnings` to the run's log, with the task's path and in order.

Native output, such as of a C library, still goes to the process's standard output, which the worker reads.
"""

from __future__ import annotations

import io
import sys
import threading
from typing import Any, Callable

from .log import write

_FLUSH_CHARS = 32 * 1024


class _Lines(io.TextIOBase):
    """A text stream whose lines become log lines. `\\r` begins a line anew, so that a progress bar is one line."""

    def __init__(self, level: str, behind: Any) -> None:
        self._level = level
        self._behind = behind
        self._lock = threading.Lock()
        self._rest: dict[int, str] = {}

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def buffer(self) -> Any:
        """Bytes go to the process's own output."""
        return self._behind.buffer

    def fileno(self) -> int:
        return int(self._behind.fileno())

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        me = threading.get_ident()
        with self._lock:
            rest = self._rest.pop(me, "") + text
            *lines, rest = rest.split("\n")
            if len(rest) >= _FLUSH_CHARS:
                lines, rest = [*lines, rest], ""
            if rest:
                self._rest[me] = rest
        for line in lines:
            self._put(line)
        return len(text)

    def flush(self) -> None:
        """A line that has not ended stays: a progress bar flushes often."""

    def put_rest(self) -> None:
        """Writes lines that have not ended."""
        with self._lock:
            rests, self._rest = list(self._rest.values()), {}
        for rest in rests:
            self._put(rest)

    def _put(self, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2]
        if shown or not line:
            write(self._level, shown)


_LEVELS = ((40, "error"), (30, "warn"), (20, "info"), (0, "debug"))


def capture() -> Callable[[], None]:
    """Begins. @returns A function that ends it."""
    out, err = sys.stdout, sys.stderr
    lines = _Lines("info", out), _Lines("info", err)
    sys.stdout, sys.stderr = lines
    release_logging = _capture_logging()

    def release() -> None:
        for one in lines:
            one.put_rest()
        release_logging()
        sys.stdout, sys.stderr = out, err

    return release


def _capture_logging() -> Callable[[], None]:
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            level = next(name for number, name in _LEVELS if record.levelno >= number)
            try:
                text = self.format(record)
            except Exception as error:
                text = f"(a line of {record.name} that could not be formatted: {error})"
            write(level, text)

    root = logging.getLogger()
    handler = Handler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(handler)
    before = root.level
    if root.level == logging.WARNING:
        # The level that nobody chose.
        root.setLevel(logging.INFO)
    logging.captureWarnings(True)

    def release() -> None:
        root.removeHandler(handler)
        root.setLevel(before)
        logging.captureWarnings(False)

    return release
