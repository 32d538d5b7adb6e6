"""Calls functions after a time, in one thread that starts with the first of them."""

from __future__ import annotations

import heapq
import threading
import time
from itertools import count
from typing import Callable


class Timers:
    """Functions that are due later. They must be short."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._live: set[int] = set()
        self._changed = threading.Condition()
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def after(self, ms: float, then: Callable[[], None]) -> Callable[[], None]:
        """Calls a function after a time. @returns A function that takes it back."""
        with self._changed:
            number = next(self._numbers)
            self._live.add(number)
            heapq.heappush(self._due, (time.monotonic() + ms / 1000, number, then))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="towpath-timers", daemon=True)
                self._thread.start()
            self._changed.notify()
        return lambda: self._take_back(number)

    def _take_back(self, number: int) -> None:
        with self._changed:
            self._live.discard(number)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due or (left := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(None if not self._due else left)
                _, number, then = heapq.heappop(self._due)
                if number not in self._live:
                    continue
                self._live.discard(number)
            then()


TIMERS = Timers()
