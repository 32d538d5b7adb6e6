"""Reads the stacks that `faulthandler` writes, and formats one as a traceback."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_HEAD = re.compile(r"^(Current thread|Thread) 0x([0-9a-f]+)\b.*\(most recent call first\):$")
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')
_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")
_SOURCE_BYTES_MAX = 8 * 1024 * 1024
"""No line is read from a larger file."""


class Frame(NamedTuple):
    """A line of code that was running."""

    file: str
    line: int
    function: str


class Stack(NamedTuple):
    """The frames of one thread, outermost first, without those of this package."""

    frames: list[Frame]

    def place(self, here: str) -> str | None:
        """The innermost line of the author's own code, such as `flow.py:12`. None if there is no frame."""
        own = [frame for frame in self.frames if _is_authors(frame.file)] or self.frames
        return f"{_from(here, own[-1].file)}:{own[-1].line}" if own else None

    def traceback(self, here: str, error: str) -> str:
        """The text that Python prints for an error with this stack."""
        lines = ["Traceback (most recent call last):"] if self.frames else []
        for frame in self.frames:
            lines.append(f'  File "{_from(here, frame.file)}", line {frame.line}, in {frame.function}')
            source = _source(frame)
            if source:
                lines.append(f"    {source}")
        return "\n".join([*lines, error])


def stack_in(dump: str, thread: int) -> Stack:
    """The stack of a thread in a dump of all threads. If the thread has none, that of the thread that wrote the dump."""
    found: dict[int, list[Frame]] = {}
    current: int | None = None
    frames: list[Frame] = []
    for line in dump.splitlines():
        head = _HEAD.match(line)
        frame = _FRAME.match(line)
        if head is not None:
            ident = int(head[2], 16)
            frames = found.setdefault(ident, [])
            current = ident if head[1] == "Current thread" else current
        elif frame is not None:
            frames.append(Frame(_unescaped(frame[1]), int(frame[2]), _unescaped(frame[3])))
    chosen = found.get(thread) or ([] if current is None else found[current])
    kept = [one for one in chosen if not one.file.startswith((_OWN_FOLDER, "<frozen "))]
    return Stack([*reversed(kept or chosen)])


def _unescaped(text: str) -> str:
    """A text of the dump, which has other characters than ASCII escaped."""
    return re.sub(
        r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))",
        lambda found: chr(int(found[1] or found[2] or found[3], 16)),
        text,
    )


def _is_authors(file: str) -> bool:
    return not file.startswith((_STDLIB, "<")) and _INSTALLED.search(file) is None


def _from(here: str, file: str) -> str:
    return file[len(here) :] if file.startswith(here) else file


def _source(frame: Frame) -> str:
    """The text of a line. Empty if the file cannot be read."""
    try:
        if os.path.getsize(frame.file) > _SOURCE_BYTES_MAX:
            return ""
        with open(frame.file, encoding="utf-8", errors="replace") as file:
            return next((text.strip() for at, text in enumerate(file, 1) if at == frame.line), "")
    except OSError:
        return ""
