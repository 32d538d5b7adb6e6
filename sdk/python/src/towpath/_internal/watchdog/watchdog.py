"""Watches tries with a time limit from another process. Nothing in a process can notice that the process is blocked: a
regular expression or an extension that holds the interpreter stops the timers too."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from ..problem import TaskTimeout

if TYPE_CHECKING:
    from ..gateway.http import Address
    from ..gateway.sender import Sender

_STARTS_MAX = 3
"""How often a guard that somebody has killed is started again."""
_WRITE_S = 1.0
"""How long the guard may leave its pipe full."""
_END_S = 1.0
_PIPE_BYTES = 1024 * 1024
_MARK = "TOWPATH_RUNNER"
"""By this variable the worker finds the processes of an attempt. The guard is not one of them: it ends by itself."""
_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_CODE = "import sys; sys.path.append(sys.argv.pop(1)); from towpath._internal.watchdog.guard import main; main()"


def _signal_for_stacks() -> int | None:
    """The signal that writes the stacks. Programs use the last ones of these the least."""
    import faulthandler

    if not hasattr(faulthandler, "register"):
        return None
    last = getattr(signal, "SIGRTMAX", None)
    return getattr(signal, "SIGINFO", None) if last is None else last - 5


@dataclass(frozen=True)
class WatchedTry:
    """A try with a time limit."""

    path: str
    name: str
    tries: int
    limit_ms: float
    grace_ms: float
    more_ms: float = 0
    """How much later than after its grace it is ended from outside."""

    def line(self, number: int) -> dict[str, Any]:
        """What the guard is told. It gets its times by the clock that all processes share."""
        message = (
            f'A try of task "{self.name}" blocked its process for longer than its time limit of {self.limit_ms:g} ms '
            f"and {self.grace_ms:g} ms more, so the process was killed."
        )
        return {
            "id": number,
            "at": time.monotonic() + (self.limit_ms + self.grace_ms + self.more_ms) / 1000,
            "graceS": self.grace_ms / 1000,
            "thread": threading.get_ident(),
            "report": {
                "path": self.path,
                "name": self.name,
                "tries": self.tries,
                "kind": f"{TaskTimeout.__module__}.{TaskTimeout.__qualname__}",
                "message": message,
                "next": 'Give the task runs_in="process": then a time limit kills only the task\'s own process.',
            },
        }


class _Guard:
    """The other process, and the two pipes to it."""

    def __init__(self, address: Address | None, number: int) -> None:
        import faulthandler
        import subprocess

        control, self._write = os.pipe()
        stacks, self._stacks = os.pipe()
        os.set_blocking(self._write, False)
        _widen(self._write)
        told = {
            "pid": os.getpid(),
            "control": control,
            "stacks": stacks,
            "signal": number,
            "here": os.getcwd() + os.sep,
            "socket": None if address is None else os.path.abspath(address.socket),
            "tokenFile": None if address is None else os.path.abspath(address.token_file),
        }
        try:
            # No signal to the flow's group reaches it. It keeps no file, folder or socket of the flow open.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-c", _CODE, _PACKAGES, json.dumps(told)],
                pass_fds=(control, stacks),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if address is None else subprocess.DEVNULL,
                cwd="/",
                env={name: value for name, value in os.environ.items() if name != _MARK},
                start_new_session=True,
            )
        except BaseException:
            os.close(self._write)
            os.close(self._stacks)
            raise
        finally:
            os.close(control)
            os.close(stacks)
        self._signal = number
        faulthandler.register(number, file=self._stacks, all_threads=True)

    def write(self, data: bytes) -> None:
        """@raises OSError if it does not take it"""
        until = time.monotonic() + _WRITE_S
        while data:
            try:
                data = data[os.write(self._write, data) :]
            except BlockingIOError:
                left = until - time.monotonic()
                if left <= 0:
                    raise
                select.select([], [self._write], [], left)

    def close(self, within_s: float = _END_S) -> None:
        """Ends the process."""
        import faulthandler
        import subprocess

        os.close(self._write)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        faulthandler.unregister(self._signal)
        os.close(self._stacks)

    def forget(self) -> None:
        """In a forked child, which nobody watches."""
        import faulthandler

        faulthandler.unregister(self._signal)
        os.close(self._write)
        os.close(self._stacks)


def _widen(fd: int) -> None:
    try:
        import fcntl

        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)  # type: ignore[attr-defined, unused-ignore]
    except (ImportError, AttributeError, OSError):
        pass


class Watchdog:
    """The watchdog of a process. Its guard starts with the first watched try, so flows without time limits do not pay for
    it. Safe for several threads. Not on Windows: there, nothing is watched."""

    def __init__(self, address: Address | None, sender: Sender | None = None) -> None:
        """
        Args:
            address: the gateway for the report. None: it is printed.
            sender: the records of the process. The guard gets a copy of each, because a process that is blocked cannot send
                what it has not sent yet.
        """
        self._address = address
        self._sender = sender
        self._guard: _Guard | None = None
        self._starts = 0
        self._numbers = count(1)
        self._live: dict[int, bytes] = {}
        self._lines: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._is_over = False
        _WATCHDOGS.add(self)

    def watch(self, tried: WatchedTry) -> Watched:
        """Kills the process unless the try ends, or is heard of, in time. Call it in the thread that runs the try."""
        number = next(self._numbers)
        with self._lock:
            # Before the times are taken: the start of the guard is not the time of the try.
            self._begin()
            line = json.dumps(tried.line(number)).encode("ascii") + b"\n"
            self._live[number] = line
            self._lines.append(line)
            # A guard that somebody has killed shows when it does not take the line.
            while self._begin() and self._lines:
                self._write_all()
        self._write_rest()
        return Watched(self, number)

    def unwatch(self, number: int, *, waits: bool) -> None:
        """
        Args:
            waits: whether to return only when the guard can know it. A handler of a signal cannot wait: the code below it
                may be writing. That code then writes this, too.
        """
        if self._live.pop(number, None) is None:
            return
        self._lines.append(b'{"id":%d}\n' % number)
        if waits:
            with self._lock:
                self._write_all()
        self._write_rest()

    def close(self) -> None:
        """Ends the guard."""
        with self._lock:
            self._is_over = True
            self._live.clear()
            self._lose(_END_S)

    def forget(self) -> None:
        """In a forked child: the guard watches only the process that has started it."""
        self._lock = threading.Lock()
        self._is_over = True
        self._live.clear()
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.forget()

    def _begin(self) -> bool:
        """Starts the guard if there is none. @returns whether there is one. The caller has the lock."""
        if self._guard is not None:
            return True
        number = _signal_for_stacks()
        if not self._is_over and self._starts < _STARTS_MAX and sys.executable and number is not None:
            self._starts += 1
            try:
                self._guard = _Guard(self._address, number)
            except OSError:
                # Without it, a blocked try runs until the run's own time limit. That is no reason to fail a run.
                self._starts = _STARTS_MAX
        if self._guard is None:
            self._live.clear()
            return False
        # First, so that what a handler of a signal adds meanwhile is after what it ends.
        self._lines.extendleft(list(self._live.values()))
        if self._sender is not None:
            self._sender.copy_to(self._copy)
        return True

    def _copy(self, line: bytes) -> None:
        self._lines.append(line + b"\n")
        self._write_rest()

    def _write_rest(self) -> None:
        """Writes what a handler of a signal has added meanwhile."""
        while self._lines and self._lock.acquire(blocking=False):
            try:
                self._write_all()
            finally:
                self._lock.release()

    def _write_all(self) -> None:
        """The caller has the lock."""
        while self._lines:
            line = self._lines.popleft()
            if self._guard is None:
                continue
            try:
                self._guard.write(line)
            except OSError:
                # Somebody has killed or suspended it. The next try starts another one, which gets all that is watched.
                self._lose(0)
                self._lines.appendleft(line)
                return

    def _lose(self, within_s: float) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.close(within_s)


class Watched:
    """One try that is watched."""

    def __init__(self, watchdog: Watchdog, number: int) -> None:
        self._watchdog = watchdog
        self._number = number

    def end(self) -> None:
        """The try has ended. Returns when the guard can know it, so call it before anything is recorded."""
        self._watchdog.unwatch(self._number, waits=True)

    def heard(self) -> None:
        """Its process has answered the request to stop. Handlers of signals may call it."""
        self._watchdog.unwatch(self._number, waits=False)


_WATCHDOGS: weakref.WeakSet[Watchdog] = weakref.WeakSet()


def _forget_all() -> None:
    for one in list(_WATCHDOGS):
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
