"""The waits of a flow. The code after an open wait never goes on in this process unless the wait ends while it lives:
nothing is raised that the author's code could catch. Once nothing else is working, the run is suspended and the process
ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..engine.cancel import Cancel
from ..engine.host import Host

if TYPE_CHECKING:
    from ..engine.scope import OpenCalls

_SHORT_WAIT_MS = 10_000
"""Shorter waits pass in this process."""


_QUIET_TURNS = 100
_QUIET_S = 0.05


class _Pending:
    def __init__(self, path: str, wait: Mapping[str, Any]) -> None:
        self.path = path
        self.wait = wait
        self.is_open = False
        self.again = True
        self.ends_at_ms: float | None = None


class Waits:
    """Waits in threads that block, or in coroutines through a thread. Safe for several threads."""

    def __init__(self, host: Host, open_: OpenCalls) -> None:
        self._host = host
        self._open = open_
        self._pending: dict[str, _Pending] = {}
        self.loop: Any = None
        """The event loop of an async flow."""
        self._is_over = False
        self.suspend: Callable[[list[str]], None] = lambda _: None
        """Ends the run as suspended. Set by the run."""
        host.waits.listen(self._hear)

    def until(self, path: str, wait: Mapping[str, Any], cancel: Cancel) -> Mapping[str, Any]:
        """Returns the answer once the wait is over. Never returns if the run is suspended first.

        Raises:
            CallRefused: if the control plane refuses it.
            Cancelled: if the run must stop.
        """
        pending = _Pending(path, wait)
        with self._open.changed:
            self._pending[path] = pending
            self._open.moves += 1
        forget = cancel.listen(lambda _: self._wake())
        try:
            with self._open.resting():
                return self._until(pending, cancel)
        finally:
            forget()
            with self._open.changed:
                self._pending.pop(path, None)
                self._open.moves += 1
                self._open.changed.notify_all()

    def _until(self, pending: _Pending, cancel: Cancel) -> Mapping[str, Any]:
        while True:
            self._stay()
            cancel.raise_if_asked()
            if self._is_due(pending):
                answer = self._host.waits.ask(pending.path, pending.wait)
                if answer["state"] != "open":
                    return answer
                self._opened(pending, answer)
                continue
            self._rest(pending)

    def _is_due(self, pending: _Pending) -> bool:
        with self._open.changed:
            is_over = pending.ends_at_ms is not None and self._now_ms() >= pending.ends_at_ms
            if pending.again or is_over:
                pending.again = False
                pending.ends_at_ms = None
                return True
            return False

    def _opened(self, pending: _Pending, answer: Mapping[str, Any]) -> None:
        with self._open.changed:
            in_ms = answer.get("inMs")
            pending.ends_at_ms = None if in_ms is None else self._now_ms() + in_ms
            pending.is_open = True

    def _rest(self, pending: _Pending) -> None:
        """Waits for a change. If nothing is working, suspends the run."""
        changed = self._open.changed
        with changed:
            if pending.again:
                return
            idle = None if self._is_over else self._idle()
            moves = self._open.moves
            if idle is None:
                left_ms = None if pending.ends_at_ms is None else pending.ends_at_ms - self._now_ms()
                changed.wait(None if left_ms is None else max(0.0, left_ms / 1000))
                return
        if self.loop is not None:
            self._until_quiet(self.loop)
        with changed:
            if self.loop is None and self._open.has_function():
                # Another thread's call may just have ended, and its caller is about to go on.
                changed.wait_for(lambda: self._open.moves != moves, _QUIET_S)
            if self._is_over or pending.again or self._open.moves != moves or self._idle() is None:
                return
            self._is_over = True
        self.suspend(idle)
        self._stay()

    def _stay(self) -> None:
        """Never returns in a suspended run: its code goes on in another process. A test's process lives on."""
        while self._is_over:
            time.sleep(3600)

    def _until_quiet(self, loop: Any) -> None:
        """Waits until code that follows the last call has begun its next one. Each step of it takes a turn of the loop."""
        over = threading.Event()

        def turn(left: int) -> None:
            if left == 0:
                over.set()
            else:
                loop.call_soon(turn, left - 1)

        try:
            loop.call_soon_threadsafe(turn, _QUIET_TURNS)
        except RuntimeError:
            return
        over.wait()

    def _idle(self) -> list[str] | None:
        """The open waits, if there is nothing else to do."""
        if not self._host.waits.suspends or self._open.count > 0 or self._open.is_working:
            return None
        for one in self._pending.values():
            if not one.is_open or one.again:
                return None
            if one.ends_at_ms is not None and one.ends_at_ms - self._now_ms() <= _SHORT_WAIT_MS:
                return None
        return list(self._pending)

    def _hear(self, paths: list[str]) -> None:
        with self._open.changed:
            known = [self._pending.get(path) for path in paths]
            # A redacted path does not match, so the report may concern any wait.
            for one in self._pending.values() if None in known else known:
                if one is not None:
                    one.again = True
            self._open.changed.notify_all()

    def _wake(self) -> None:
        with self._open.changed:
            self._open.changed.notify_all()

    def _now_ms(self) -> float:
        return self._host.clock.monotonic_ms()
