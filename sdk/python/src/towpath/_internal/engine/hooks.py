"""Calls the author's hooks. A hook that fails is a warning, and changes no outcome."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..problem import TowpathError
from .cancel import Cancel
from .interrupt import in_author_code
from .loop import is_in_loop
from .timers import TIMERS

HOOK_MS = 10_000
"""Time limit of a hook."""
STOPPED_HOOK_MS = 3000
"""Time limit of a hook if the run was asked to stop: less than a worker waits before it kills."""


def call_hook(what: str, max_ms: float, hook: Callable[[], Any], warn: Callable[[str], None]) -> None:
    """Calls a hook, and awaits it if it is an `async def`.

    Args:
        what: the beginning of the warning, such as `The hook for failed`.
        max_ms: its time limit, which interrupts it in the main thread.
    """
    cancel = Cancel()
    take_back = TIMERS.after(max_ms, lambda: cancel.abort(TowpathError(f"It took longer than {max_ms / 1000:g} s.")))
    try:
        told = in_author_code(cancel, hook)
        if inspect.iscoroutine(told):
            _finish(told, max_ms)
    except BaseException as fault:
        # Also sys.exit: the run must still report its outcome.
        warn(f"{what} failed: {fault or type(fault).__name__}")
    finally:
        take_back()


def _finish(told: Any, max_ms: float) -> None:
    import asyncio

    if not is_in_loop():
        asyncio.run(asyncio.wait_for(told, max_ms / 1000))
        return
    told.close()
    raise TowpathError("The hook of a task in an async flow must be a plain def.")
