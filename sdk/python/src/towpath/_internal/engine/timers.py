"""Calls functions after a time, in one thread that starts with the first of them."""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable
from itertools import count

_STALE_MAX = 1000
"""Entries in the queue that were taken back."""


class Timers:
    """Functions that are due later. They must be short, and must not raise."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forgets all functions. A forked child does, because it has no thread for them, and the lock may have been taken."""
        self._due: list[tuple[float, int]] = []
        # The queue has only numbers, so that what was taken back does not stay in memory.
        self._live: dict[int, tuple[Callable[[], None], float | None]] = {}
        self._changed = threading.Condition()
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def after(self, ms: float, then: Callable[[], None]) -> Callable[[], None]:
        """Calls a function after a time. @returns A function that takes it back."""
        return self._add(ms, then, None)

    def every(self, ms: float, then: Callable[[], None]) -> Callable[[], None]:
        """Calls a function again and again, with this time between. @returns A function that takes it back."""
        return self._add(ms, then, ms)

    def _add(self, ms: float, then: Callable[[], None], again_ms: float | None) -> Callable[[], None]:
        with self._changed:
            number = next(self._numbers)
            self._live[number] = then, again_ms
            self._push(ms, number)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="towpath-timers", daemon=True)
                self._thread.start()
        return lambda: self._take_back(number)

    def _push(self, ms: float, number: int) -> None:
        first = self._due[0] if self._due else None
        heapq.heappush(self._due, (time.monotonic() + ms / 1000, number))
        if self._due[0] is not first:
            self._changed.notify()

    def _take_back(self, number: int) -> None:
        with self._changed:
            self._live.pop(number, None)
            if len(self._due) > 2 * len(self._live) + _STALE_MAX:
                self._due = [one for one in self._due if one[1] in self._live]
                heapq.heapify(self._due)

    def _left_s(self) -> float | None:
        return self._due[0][0] - time.monotonic() if self._due else None

    def _run(self) -> None:
        while True:
            with self._changed:
                while (left := self._left_s()) is None or left > 0:
                    self._changed.wait(left)
                _, number = heapq.heappop(self._due)
                found = self._live.pop(number, None)
                if found is None:
                    continue
                then, again_ms = found
                if again_ms is not None:
                    self._live[number] = found
                    self._push(again_ms, number)
            then()


TIMERS = Timers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TIMERS.forget)
