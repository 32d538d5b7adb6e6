"""Requests to stop: of a run, or of one try of a task."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Cancel:
    """A request to stop, with its reason. Safe for several threads."""

    def __init__(self, parent: Cancel | None = None) -> None:
        self.reason: BaseException | None = None
        self._lock = threading.Lock()
        self._listeners: list[Callable[[BaseException], None]] = []
        self._unfollow = parent.listen(self.abort) if parent is not None else None

    def abort(self, reason: BaseException) -> None:
        """Asks to stop. Only the first reason counts."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(reason)

    def listen(self, listener: Callable[[BaseException], None]) -> Callable[[], None]:
        """Calls a function once, when the request comes; at once if it is there. @returns A function that forgets it."""
        with self._lock:
            reason = self.reason
            if reason is None:
                self._listeners.append(listener)
        if reason is not None:
            listener(reason)
            return lambda: None
        return lambda: self._forget(listener)

    def release(self) -> None:
        """Stops following the parent."""
        if self._unfollow is not None:
            self._unfollow()

    def raise_if_asked(self) -> None:
        """@raises the reason, if there was a request."""
        if self.reason is not None:
            raise self.reason

    def pause(self, ms: float) -> None:
        """Waits in this thread. @raises the reason, if a request comes meanwhile."""
        over = threading.Event()
        forget = self.listen(lambda _: over.set())
        over.wait(ms / 1000)
        forget()
        self.raise_if_asked()

    def _forget(self, listener: Callable[[BaseException], None]) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
