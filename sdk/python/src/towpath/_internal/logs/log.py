"""The run's log."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..clock import SYSTEM_CLOCK, Clock, instant
from ..engine.interrupt import in_engine_code
from ..engine.scope import current
from ..text import cut_for_worker

if TYPE_CHECKING:
    from ..engine.host import Records


class _Process:
    """What the whole process writes to, while a worker's run has its output."""

    records: Records | None = None
    end_lines: Callable[[], None] = staticmethod(lambda: None)


PROCESS = _Process()
_STDOUT = 1


def write(level: str, text: str) -> None:
    """Writes a line to the run's log, or to the terminal outside of a run. Never raises.

    In a worker's process, lines of threads that the author started are in the run's log too.
    """
    scope = current.get()
    if scope is not None and scope.run.pid != os.getpid():
        # A process that the flow has forked: the worker reads its output as that of any program. Another thread of the
        # flow's process may have held the lock of `sys.stdout`.
        try:
            os.write(_STDOUT, f"{text}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            pass
    elif scope is not None and not scope.run.has_ended:
        _post(scope.run.host.records, scope.run.host.clock, level, text, scope.of_task())
    elif PROCESS.records is not None and scope is None:
        _post(PROCESS.records, SYSTEM_CLOCK, level, text, {})
    elif PROCESS.records is not None:
        (sys.__stdout__ or sys.stdout).write(f"{text}\n")
    else:
        from ..console.sink import stdout_sink

        stdout_sink().post({"type": "log", "at": instant(SYSTEM_CLOCK), "level": level, "text": text})


def _post(records: Records, clock: Clock, level: str, text: str, task: dict[str, str]) -> None:
    try:
        in_engine_code(
            records.post, {"type": "log", "at": instant(clock), "level": level, "text": cut_for_worker(text), **task}
        )
    except Exception as error:
        (sys.__stderr__ or sys.stderr).write(f"{text}\n(this line is not in the run's log: {error})\n")


class Logger:
    """Writes lines to the run's log. `print` and `logging` go there too."""

    def debug(self, *parts: Any) -> None:
        """Writes a line of the level `debug`: the parts as text, separated by spaces. An error is written with its stack."""
        write("debug", _text_of(parts))

    def info(self, *parts: Any) -> None:
        """Writes a line of the level `info`."""
        write("info", _text_of(parts))

    def warning(self, *parts: Any) -> None:
        """Writes a line of the level `warn`."""
        write("warn", _text_of(parts))

    def error(self, *parts: Any) -> None:
        """Writes a line of the level `error`."""
        write("error", _text_of(parts))


def _text_of(parts: tuple[Any, ...]) -> str:
    from ..engine.describe_error import stack_of

    try:
        return " ".join(stack_of(part) if isinstance(part, BaseException) else str(part) for part in parts)
    except Exception as error:
        return f"(a line that could not be formatted: {error})"


log = Logger()
