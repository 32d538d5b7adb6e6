"""Prints a run's records on the terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TextIO

_COLOURS = {"quiet": "2", "strong": "1", "good": "32", "bad": "31", "warn": "33"}
_MARKS = {"debug": ("quiet", "·"), "info": ("quiet", "│"), "warn": ("warn", "!"), "error": ("bad", "✗")}


def duration_text(ms: float) -> str:
    """A duration for people: 340 ms, 2.4 s, 3 min 5 s."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s"


def harmless(text: str) -> str:
    """Text without control characters, which could change the terminal."""
    return "".join(
        char if char >= " " and char != "\x7f" and not "\x80" <= char <= "\x9f" else "�" if char not in "\n\t" else char
        for char in text
    )


class ConsoleSink:
    """Takes records and prints log lines and the ends of tasks."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colour = out.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}

    def post(self, record: Mapping[str, Any]) -> None:
        self._show(record)

    def post_held(self, record: Mapping[str, Any]) -> None:
        self._show(record)

    def post_stored(self, record: Mapping[str, Any]) -> None:
        self._show(record)

    def when_held(self, record: Mapping[str, Any], then: Callable[[BaseException | None], None]) -> None:
        self._show(record)
        then(None)

    def say(self, text: str) -> None:
        """Prints a line."""
        with self._lock:
            self._out.write(f"{text}\n")
            self._out.flush()

    def paint(self, colour: str, text: str) -> str:
        """Text in a colour, if the terminal has colours."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._colour else text

    def _show(self, record: Mapping[str, Any]) -> None:
        if record["type"] == "log":
            colour, mark = _MARKS[record["level"]]
            self.say(f"{self.paint(colour, mark)} {harmless(record['text'])}")
        elif record["type"] == "task":
            self._show_task(record)
        elif record["type"] == "artifact":
            self._show_artifact(record)

    def _show_task(self, record: Mapping[str, Any]) -> None:
        from ..clock import datetime_of

        move, path, at_ms = record["move"], record["path"], datetime_of(record["at"]).timestamp() * 1000
        if move == "begin":
            self._began.setdefault(path, at_ms)
            return
        if move not in ("complete", "fail", "cancel"):
            return
        took = duration_text(at_ms - self._began.pop(path, at_ms))
        name = harmless(record["name"])
        if move == "complete":
            self.say(f"{self.paint('good', '✓')} {name} {self.paint('quiet', took)}")
        else:
            what = "cancelled" if move == "cancel" else harmless(record["error"]["message"])
            self.say(f"{self.paint('bad', '✗')} {name} {self.paint('quiet', took)} {what}")

    def _show_artifact(self, record: Mapping[str, Any]) -> None:
        body = record["body"]
        title = harmless(record.get("title") or record["key"])
        if body["kind"] == "table":
            self.say(
                f"{self.paint('quiet', '▦')} {title}: {len(body['rows'])} rows of {', '.join(map(str, body['columns']))}"
            )
        elif body["kind"] == "link":
            self.say(f"{self.paint('quiet', '↗')} {title}: {harmless(body['url'])}")
        elif body["kind"] != "progress":
            self.say(f"{self.paint('quiet', '▦')} {title} ({body['kind']})")


def stdout_sink() -> ConsoleSink:
    """A sink for the process's standard output, whatever is printed there by others."""
    return ConsoleSink(sys.__stdout__ or sys.stdout)
