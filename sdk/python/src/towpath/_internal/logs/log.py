"""The run's log."""

from __future__ import annotations

import sys
from typing import Any

from ..clock import SYSTEM_CLOCK, instant
from ..engine.interrupt import in_engine_code
from ..engine.scope import current

_TEXT_CHARS_MAX = 32 * 1024


def write(level: str, text: str) -> None:
    """Writes a line to the run's log, or to the terminal outside of a run. Never raises."""
    scope = current.get()
    if scope is None or scope.run.has_ended:
        from ..console.sink import stdout_sink

        stdout_sink().post({"type": "log", "at": instant(SYSTEM_CLOCK), "level": level, "text": text})
        return
    record = {"type": "log", "at": instant(scope.run.host.clock), "level": level, "text": text[:_TEXT_CHARS_MAX], **scope.of_task()}
    try:
        in_engine_code(scope.run.host.records.post, record)
    except Exception as error:
        (sys.__stderr__ or sys.stderr).write(f"{text}\n(this line is not in the run's log: {error})\n")


class Logger:
    """Writes lines to the run's log. `print` and `logging` go there too."""

    def debug(self, *parts: Any) -> None:
        write("debug", _text_of(parts))

    def info(self, *parts: Any) -> None:
        write("info", _text_of(parts))

    def warning(self, *parts: Any) -> None:
        write("warn", _text_of(parts))

    def error(self, *parts: Any) -> None:
        write("error", _text_of(parts))


def _text_of(parts: tuple[Any, ...]) -> str:
    from ..engine.describe_error import stack_of

    try:
        return " ".join(stack_of(part) if isinstance(part, BaseException) else str(part) for part in parts)
    except Exception as error:
        return f"(a line that could not be formatted: {error})"


log = Logger()
