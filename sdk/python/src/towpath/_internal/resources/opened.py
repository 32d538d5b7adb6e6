"""The open resources of a run in this process."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..engine.cancel import Cancel
from ..engine.hooks import call_hook

Warn = Callable[[str], None]

_LOOK_AGAIN_S = 0.1
"""How soon a thread that waits for another one to open a resource sees that it must stop."""


class Closing(NamedTuple):
    """How an open resource is closed."""

    what: str
    """The beginning of a warning: `Closing resource "warehouse"`."""
    max_ms: float
    close: Callable[[], Any]
    """Returns something to await if `is_async`."""
    is_async: bool


@dataclass
class _Slot:
    """The place of one resource."""

    lock: Any
    value: Any = None
    is_open: bool = False
    opening: Any = None
    """The task of asyncio that opens it."""


class Opened:
    """Opens each resource once in an attempt, and closes all in reverse order. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[object, _Slot] = {}
        self._closings: list[tuple[object, Closing]] = []

    def value(self, resource: object, open_: Callable[[], tuple[Any, Closing | None]], cancel: Cancel) -> Any:
        """The value of a resource. The first call opens it. If that fails, the next call tries again."""
        slot = self._slot(resource)
        # Reentrant: a resource that uses itself fails with a RecursionError and does not wait for ever.
        while not slot.lock.acquire(timeout=_LOOK_AGAIN_S):
            cancel.raise_if_asked()
        try:
            if not slot.is_open:
                slot.value, closing = open_()
                slot.is_open = True
                self._add(resource, closing)
            return slot.value
        finally:
            slot.lock.release()

    async def value_in_loop(self, resource: object, open_: Callable[[], Awaitable[tuple[Any, Closing | None]]]) -> Any:
        """Like `value`, for a resource that is opened in the running event loop."""
        import asyncio

        slot = self._slot(resource)
        if slot.is_open:
            return slot.value
        if slot.opening is None:
            slot.opening = asyncio.ensure_future(self._opening(resource, slot, open_))
        # A caller that is cancelled does not stop the opening, which others may await.
        return await asyncio.shield(slot.opening)

    async def _opening(
        self, resource: object, slot: _Slot, open_: Callable[[], Awaitable[tuple[Any, Closing | None]]]
    ) -> Any:
        try:
            slot.value, closing = await open_()
            slot.is_open = True
            self._add(resource, closing)
            return slot.value
        finally:
            slot.opening = None

    def close(self, warn: Warn) -> None:
        """Closes all resources that need no event loop."""
        while (one := self._pop()) is not None:
            _close(one, warn)

    async def close_in_loop(self, warn: Warn, *, everything: bool = False) -> None:
        """Closes the resources of the running event loop, and those that were opened after the first of them."""
        while (everything or self._has_async()) and (one := self._pop()) is not None:
            if one.is_async:
                await _close_in_loop(one, warn)
            else:
                _close(one, warn)

    def _slot(self, resource: object) -> _Slot:
        with self._lock:
            return self._slots.setdefault(resource, _Slot(threading.RLock()))

    def _add(self, resource: object, closing: Closing | None) -> None:
        if closing is not None:
            with self._lock:
                self._closings.append((resource, closing))

    def _has_async(self) -> bool:
        with self._lock:
            return any(one.is_async for _, one in self._closings)

    def _pop(self) -> Closing | None:
        with self._lock:
            if not self._closings:
                return None
            resource, closing = self._closings.pop()
            # A hook that uses it after its loop has ended opens it again.
            self._slots.pop(resource, None)
            return closing


def _close(one: Closing, warn: Warn) -> None:
    call_hook(one.what, one.max_ms, one.close, warn)


async def _close_in_loop(one: Closing, warn: Warn) -> None:
    import asyncio

    async def closed() -> None:
        await one.close()

    work = asyncio.ensure_future(closed())
    # Not wait_for, which waits for ever for a function that ignores its cancellation.
    await asyncio.wait({work}, timeout=one.max_ms / 1000)
    if not work.done():
        work.cancel()
        warn(f"{one.what} failed: It took longer than {one.max_ms / 1000:g} s.")
        return
    fault = asyncio.CancelledError() if work.cancelled() else work.exception()
    if fault is not None:
        warn(f"{one.what} failed: {fault or type(fault).__name__}")
