"""The threads in which submitted and mapped tasks run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

_THREADS_MAX = 32
_WAITING_THREADS_MAX = 512
"""The most threads if calls only wait for a cluster."""


class Pool:
    """Runs functions in threads, at most 32 at a time unless more are allowed. The threads are daemons: they do not keep the
    process alive."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._threads_max = _THREADS_MAX
        self._idle = 0

    def allow(self, threads: int) -> None:
        """Allows more threads, up to 512, for calls that run elsewhere."""
        with self._changed:
            self._threads_max = max(self._threads_max, min(threads, _WAITING_THREADS_MAX))

    def submit(self, work: Callable[[], None]) -> None:
        """Runs a function in a thread when one is free. The function must not raise."""
        with self._changed:
            self._waiting.append(work)
            if self._idle >= len(self._waiting):
                self._changed.notify()
            elif self._threads < self._threads_max:
                self._threads += 1
                threading.Thread(target=self._run, name=f"towpath-{self._threads}", daemon=True).start()

    def take_back(self, work: Callable[[], None]) -> bool:
        """Removes a function that no thread has begun. @returns Whether it was there."""
        with self._changed:
            try:
                self._waiting.remove(work)
            except ValueError:
                return False
            return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._waiting:
                    self._changed.wait()
                self._idle -= 1
                work = self._waiting.popleft()
            work()
