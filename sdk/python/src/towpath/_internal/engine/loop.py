"""The event loop of an async flow."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from .forks import enter_loop

_END_S = 4.0
"""How long coroutines that were left running may take to end."""


def is_in_loop() -> bool:
    """Whether the calling code runs in an event loop."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run_loop(main: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine in a loop of its own. Unlike `asyncio.run`, it does not wait for ever for coroutines that ignore
    their cancellation."""
    import asyncio

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    left_loop = enter_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        left_loop()
        left = asyncio.all_tasks(loop)
        for one in left:
            one.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_END_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        # A coroutine that still runs must not fail with the message that its loop is closed.
        if not asyncio.all_tasks(loop):
            loop.close()
