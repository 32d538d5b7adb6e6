"""Interrupts the author's code in the main thread, so that a time limit or a cancellation also ends a `sleep` or a read.

A signal is the only thing that does. It raises only while the author's code runs: the engine's own code is never
interrupted, because it may hold a lock or be in the middle of a message.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from .cancel import Cancel
from .forks import in_own_process
from .timers import TIMERS

Result = TypeVar("Result")

# Ignored by default, so that a late one harms nothing.
_SIGNAL = getattr(signal, "SIGURG", None)
_GRACE_MS_MIN = 100


class _Listening:
    """A function of the author that runs in the main thread."""

    __slots__ = ("cancel", "raised", "shields")

    def __init__(self, cancel: Cancel, shields: bool) -> None:
        self.cancel = cancel
        self.shields = shields
        self.raised: BaseException | None = None


class _Main:
    """The state of the main thread. Only the main thread changes it."""

    def __init__(self) -> None:
        self.is_on = False
        self.ident = 0
        # The engine's calls that the thread is in. 0: the author's code runs.
        self.depth = 1
        # What the author's code listens to, outermost first.
        self.stack: list[_Listening] = []
        # Called when the thread handles the signal.
        self.waiting: deque[Callable[[], None]] = deque()

    def is_here(self) -> bool:
        """Whether the caller is in the main thread, and it can be interrupted."""
        return self.is_on and threading.get_ident() == self.ident

    def handle(self) -> None:
        while self.waiting:
            self.waiting.popleft()()
        self.raise_if_asked()

    def raise_if_asked(self) -> None:
        if self.depth != 0 or not self.stack:
            return
        reason = next((one.cancel.reason for one in self._heard() if one.cancel.reason is not None), None)
        running = self.stack[-1]
        # Once: code that cleans up after it must be able to print and to log.
        if reason is not None and running.raised is not reason:
            running.raised = reason
            raise reason

    def _heard(self) -> list[_Listening]:
        """What the running code listens to. A tear-down hears nothing of the code that it belongs to."""
        first = max((index for index, one in enumerate(self.stack) if one.shields), default=0)
        return self.stack[first:]


_main = _Main()


def install() -> None:
    """Takes the signal. Call it in the main thread; elsewhere nothing is interrupted."""
    if _main.is_on or _SIGNAL is None or threading.current_thread() is not threading.main_thread():
        return
    signal.signal(_SIGNAL, lambda _number, _frame: _main.handle())
    _main.ident = threading.get_ident()
    _main.is_on = True


def is_interruptible() -> bool:
    """Whether code of the author that is called here can be interrupted."""
    return _main.is_here()


def when_handled(then: Callable[[], None]) -> None:
    """Calls a function when the main thread handles the signal of the next request to stop, so it is not blocked."""
    _main.waiting.append(then)


def _interrupt(_reason: BaseException) -> None:
    if _SIGNAL is not None:
        signal.pthread_kill(_main.ident, _SIGNAL)


def _interrupt_again(listening: _Listening) -> None:
    listening.raised = None
    if listening.cancel.reason is not None:
        _interrupt(listening.cancel.reason)


def in_author_code(
    cancel: Cancel, fn: Callable[[], Result], grace_ms: float | None = None, *, shields: bool = False
) -> Result:
    """Calls the author's function. In the main thread, a request to stop is raised in it once, and again after the grace:
    then it has not ended in time.

    Args:
        shields: whether requests to stop the calling code do not count.
    """
    if not _main.is_here():
        return in_own_process(fn)
    depth, height = _main.depth, len(_main.stack)
    listening = _Listening(cancel, shields)
    repeats: list[Callable[[], None]] = []

    def asked(reason: BaseException) -> None:
        if grace_ms is not None:
            repeats.append(TIMERS.every(max(grace_ms, _GRACE_MS_MIN), lambda: _interrupt_again(listening)))
        _interrupt(reason)

    forget = cancel.listen(asked)
    _main.stack.append(listening)
    # The outer block covers a signal that comes just when the inner one ends.
    try:
        try:
            _main.depth = 0
            _main.raise_if_asked()
            return in_own_process(fn)
        finally:
            _main.depth = depth
    finally:
        _main.depth = depth
        del _main.stack[height:]
        forget()
        for take_back in repeats:
            take_back()


def in_engine_code(fn: Callable[..., Result], *args: Any) -> Result:
    """Calls a function of the engine from the author's code."""
    if not _main.is_here():
        return fn(*args)
    depth = _main.depth
    try:
        _main.depth = depth + 1
        return fn(*args)
    finally:
        _main.depth = depth
        _main.raise_if_asked()
