"""Calls of a job's functions, which are plain or `async def`."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from typing import Any

from ..engine.cancel import Cancel
from ..engine.io import LOOP, Io, in_thread


def blocking(fn: Callable[[], Any]) -> Any:
    """Calls a function in this thread. What it returns is awaited in a loop of its own."""
    told = fn()
    if not inspect.isawaitable(told):
        return told
    from ..engine.loop import run_loop

    async def awaited() -> Any:
        return await told

    return run_loop(awaited())


async def called(io: Io, fn: Callable[[], Any], cancel: Cancel) -> Any:
    """Calls a function of the author from the engine. In an event loop, a plain function gets a thread."""
    if io is not LOOP:
        return await io.invoke(lambda: blocking(fn), cancel, None)
    context = contextvars.copy_context()
    told = await in_thread(lambda: context.run(fn))
    if not inspect.isawaitable(told):
        return told

    async def awaited() -> Any:
        return await told

    return await io.invoke(awaited, cancel, None)
