"""Sends `print`, `logging` and `warnings` to the run's log, with the task's path and in order.

Native output, such as of a C library, still goes to the process's standard output, which the worker reads.
"""

from __future__ import annotations

import contextvars
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..engine.interrupt import in_engine_code
from ..text import FLOW_TEXT_CHARS
from .log import PROCESS, write

if TYPE_CHECKING:
    from ..engine.host import Records


class _Rest(NamedTuple):
    """A line that has not ended, and the task that wrote it."""

    text: str
    context: contextvars.Context


class Lines(io.TextIOBase):
    """A text stream whose lines become log lines. `\\r` begins a line anew, so that a progress bar is one line."""

    def __init__(self, level: str, behind: Any) -> None:
        self._level = level
        self._behind = behind
        self._lock = threading.Lock()
        self._rest: dict[int, _Rest] = {}

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def buffer(self) -> Any:
        """Bytes go to the process's own output."""
        return self._behind.buffer

    def forget(self) -> None:
        """In a forked child: another thread may have held the lock, and lines that have not ended are the parent's."""
        self._lock = threading.Lock()
        self._rest = {}

    def fileno(self) -> int:
        return int(self._behind.fileno())

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_options: Any) -> None:
        """Every line is written at once, whatever a program asks for."""

    def write(self, text: str) -> int:
        # A signal must not interrupt it, because it has a lock.
        in_engine_code(self._write, text)
        return len(text)

    def _write(self, text: str) -> None:
        me = threading.get_ident()
        with self._lock:
            before = self._rest.get(me)
            if before is not None:
                if len(before.text) >= FLOW_TEXT_CHARS and "\n" not in text and "\r" not in text:
                    # A line is cut there anyway. In two records, half a secret could not be redacted.
                    return
                text = before.text + text
            *lines, rest = text.split("\n")
            if rest:
                self._rest[me] = _Rest(_latest(rest)[:FLOW_TEXT_CHARS], contextvars.copy_context())
            elif before is not None:
                del self._rest[me]
        for line in lines:
            self._put(line)

    def flush(self) -> None:
        """A line that has not ended stays: a progress bar flushes often."""

    def put_rest(self) -> None:
        """Writes lines that have not ended."""
        with self._lock:
            rests, self._rest = list(self._rest.values()), {}
        for rest in rests:
            rest.context.run(self._put, rest.text)

    def _put(self, line: str) -> None:
        shown = _latest(line).rstrip("\r")
        if shown or not line:
            write(self._level, shown)


def _latest(line: str) -> str:
    """What a terminal shows of a line: the text after the last carriage return that text follows."""
    at = line.rstrip("\r").rfind("\r")
    return line[at + 1 :]


_LEVELS = ((40, "error"), (30, "warn"), (20, "info"), (0, "debug"))


def capture(records: Records) -> Callable[[], None]:
    """Begins. Lines of threads outside of the run go to these records too. @returns A function that ends it."""
    out, err = sys.stdout, sys.stderr
    lines = Lines("info", out), Lines("info", err)
    sys.stdout, sys.stderr = lines
    release_logging = _capture_logging((out, err))

    def end_lines() -> None:
        for one in lines:
            one.put_rest()

    def release() -> None:
        release_logging()
        sys.stdout, sys.stderr = out, err
        PROCESS.records = None

    def in_child() -> None:
        # A forked child cannot report for the run. The worker reads its output as that of any program.
        for one in lines:
            one.forget()
        if PROCESS.records is records:
            release()

    PROCESS.records, PROCESS.end_lines = records, end_lines
    os.register_at_fork(after_in_child=in_child)
    return release


def _capture_logging(streams: tuple[Any, ...]) -> Callable[[], None]:
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
    # logging.basicConfig(...) at the top of the author's module: each line would be in the log twice.
    doubles = [one for one in root.handlers if type(one) is logging.StreamHandler and one.stream in streams]
    for double in doubles:
        root.removeHandler(double)
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
        for double in doubles:
            root.addHandler(double)
        root.setLevel(before)
        logging.captureWarnings(False)

    return release
