"""Processes that the author's code forks while a flow runs. They are no part of the run.

A forked child has one thread, and copies of all locks as they were. So it must not wait for a lock of the engine, and must not
use what it shares with the flow's process: the connections to the worker and the processes of tasks. The engine refuses its
calls, and ends it where its function returns into the engine.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..problem import OutsideOfRun

if TYPE_CHECKING:
    import socket

Result = TypeVar("Result")

_NEXT = (
    "This process was forked by the flow, and is no part of its run. Call it in the flow's own process, or give the task "
    'runs_in="process".'
)
_RETURNED = (
    "A process that a flow had forked returned from the function that had forked it. It ends here, because the flow would run "
    "twice. Let it end with os._exit()."
)
_AWAITED = (
    "A process that an async flow had forked awaited something. It ends here, because it has no event loop of its own."
)
_STDERR = 2
_FLUSH_S = 2.0
_SOCKETS: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_LOOPS: list[tuple[int, Any]] = []
"""The running event loops of flows, with their threads."""


def refuse_if_forked(pid: int, what: str) -> None:
    """@raises OutsideOfRun in a process that a flow has forked. @param pid Of the flow's process."""
    if os.getpid() != pid:
        raise OutsideOfRun(what, _NEXT)


def close_in_child(own: socket.socket) -> None:
    """Closes a socket in forked children. It must be of this process alone, so that its other end notices the end."""
    _SOCKETS.add(own)


def in_own_process(fn: Callable[[], Result]) -> Result:
    """Calls the author's function. A process that it forks does not come back from here."""
    pid = os.getpid()
    try:
        result = fn()
    except BaseException as error:
        in_own_process_after(pid, error)
        raise
    in_own_process_after(pid, None)
    return result


def in_own_process_after(pid: int, error: BaseException | None) -> None:
    """Ends this process if the author's function has forked it.

    Args:
        pid: of the process that called the function.
        error: what the function raised.
    """
    if os.getpid() == pid:
        return
    if error is None:
        end_forked(_RETURNED)
    _end(error)


def end_forked(why: str) -> NoReturn:
    """Ends a forked process that has come back into the engine."""
    _leave(1, f"{why}\n")


def enter_loop(loop: Any) -> Callable[[], None]:
    """Notes that the calling thread runs an event loop. @returns A function that notes its end."""
    entry = threading.get_ident(), loop
    _LOOPS.append(entry)
    return lambda: _LOOPS.remove(entry)


def _end(error: BaseException) -> NoReturn:
    """Ends a forked process as Python does after an error, but without the functions of `atexit`: they are the parent's."""
    if not isinstance(error, SystemExit):
        from .describe_error import stack_of

        _leave(1, f"{stack_of(error)}\n")
    if error.code is None or isinstance(error.code, int):
        _leave(error.code or 0, "")
    _leave(1, f"{error.code}\n")


def _leave(code: int, text: str) -> NoReturn:
    # In a thread: another thread of the parent may have held the lock of an output.
    flushing = threading.Thread(target=_flush, daemon=True)
    flushing.start()
    flushing.join(_FLUSH_S)
    try:
        os.write(_STDERR, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass
    os._exit(code & 0xFF)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue


def _in_child() -> None:
    for own in list(_SOCKETS):
        try:
            # Only this process's copy: the connection goes on.
            own.close()
        except OSError:
            continue
    me = threading.get_ident()
    for ident, loop in _LOOPS:
        if ident != me:
            continue
        import asyncio

        # Before all that is ready: other coroutines of the flow must not run in this process.
        first = asyncio.Handle(end_forked, (_AWAITED,), loop)
        ready = getattr(loop, "_ready", None)
        if ready is not None:
            ready.appendleft(first)
        else:
            loop.call_soon(end_forked, _AWAITED)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
