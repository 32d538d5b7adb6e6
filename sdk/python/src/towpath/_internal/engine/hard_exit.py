"""What a process still says when code ends it without an exception."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from ..gateway.sender import Sender

_FLUSH_S = 2.0
"""How long `os._exit` waits for the worker to take the last records."""
_STDERR = 2


def show_crashes() -> None:
    """Has Python write its stack to the process's own output when native code ends the process with a signal. The worker
    finds the line of the flow there."""
    import faulthandler

    if not faulthandler.is_enabled():
        try:
            faulthandler.enable(file=_STDERR)
        except (OSError, ValueError):
            # Without an output there is nothing to write to.
            pass


def guard(sender: Sender) -> Callable[[], None]:
    """Sends the last log lines and task runs before `os._exit` ends the process. A forked child ends as before.

    @returns A function that ends it.
    """
    leave, pid = os._exit, os.getpid()

    def leave_after_records(status: int) -> NoReturn:
        if os.getpid() == pid:
            # In a thread: the caller may be a signal handler that has interrupted the sender.
            sending = threading.Thread(target=sender.flush, name="towpath-last-records", daemon=True)
            sending.start()
            sending.join(_FLUSH_S)
        leave(status)

    os._exit = leave_after_records

    def release() -> None:
        if os._exit is leave_after_records:
            os._exit = leave

    return release
