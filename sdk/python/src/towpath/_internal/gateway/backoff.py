"""Delays between attempts to reach the worker."""

from __future__ import annotations

import threading

_FIRST_S = 0.05
_MAX_S = 1.0


class Backoff:
    """Doubles from 50 ms to a second."""

    def __init__(self) -> None:
        self._next = _FIRST_S

    def reset(self) -> None:
        """Begins again with the shortest delay."""
        self._next = _FIRST_S

    def pause(self, over: threading.Event) -> bool:
        """Waits for the next delay. @returns False if `over` was set meanwhile."""
        delay, self._next = self._next, min(self._next * 2, _MAX_S)
        return not over.wait(delay)
