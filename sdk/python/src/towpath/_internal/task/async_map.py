"""`.map` of an `async def` task: one call for each item in the event loop, with bounded concurrency and memory."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from ..engine.cancel import Cancel
from ..engine.scope import ActiveRun, OpenCalls
from ..problem import InvalidDefinition
from .map import ITEMS_MAX, WINDOW_PER_CALL, Outcome, Source, put

Result = TypeVar("Result")


class AsyncPump:
    """Takes items, runs their calls as tasks of asyncio, and gives back the outcomes as they end.

    One coroutine takes the items. It ends when there is no room for another call, and begins again when there is. While it
    runs, the run counts a call as open, so that the run is not suspended between two items. All methods but `discard` are
    for the thread of the loop.
    """

    def __init__(self, source: Source, *, open_: OpenCalls, cancel: Cancel, concurrency: int) -> None:
        import asyncio

        self._source = source
        self.path = source.path
        items = source.items
        self._items: Any = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        self._is_async = isinstance(items, AsyncIterable)
        # Items and calls belong to the code that called map: its run, and its context variables.
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._open = open_
        self._cancel = cancel
        self._concurrency = concurrency
        self._window = concurrency * WINDOW_PER_CALL
        self._changed = asyncio.Event()
        self._ready: deque[Outcome] = deque()
        self._calls: set[Any] = set()
        self._taker: Any = None
        self._next = 0
        self._in_hand = 0
        self._is_over = False
        self._is_wanted = True
        self._has_failed = False
        self._goes_on: bool | None = None
        self._fault: BaseException | None = None
        self._forget = cancel.listen(lambda _: self._soon(self.stop))
        self._begin_more()

    async def take(self) -> Outcome | None:
        """The next outcome, or None after the last. @raises BaseException what the source of the items raised."""
        while not self._ready:
            if self._is_over and not self._calls and self._taker is None:
                self._forget()
                if self._fault is not None:
                    raise self._fault
                self._cancel.raise_if_asked()
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._ready.popleft()

    def release(self) -> None:
        """Makes room for another item."""
        self._in_hand -= 1
        self._begin_more()

    def choose(self, *, goes_on: bool) -> None:
        """Says whether items begin after a failed call. Until then, none does."""
        self._goes_on = goes_on
        if goes_on:
            self._begin_more()
        elif self._has_failed:
            self.stop()

    def stop(self) -> None:
        """Starts no more calls."""
        self._is_over = True
        if self._taker is not None:
            self._taker.cancel()
        self._changed.set()

    def cancel_calls(self) -> None:
        """Cancels the running calls, as asyncio does when what waits for them is cancelled."""
        for call in self._calls:
            call.cancel()

    def discard(self) -> None:
        """Runs all calls, and drops their outcomes: nobody takes them. For any thread."""
        self._open.__enter__()
        self._soon(self._discard, self._open.__exit__)

    def _discard(self) -> None:
        self._is_wanted = False
        self._goes_on = True
        self._in_hand -= len(self._ready)
        self._ready.clear()
        self._begin_more()
        self._open.__exit__()

    def _soon(self, then: Callable[[], object], otherwise: Callable[[], object] = lambda: None) -> None:
        try:
            self._loop.call_soon_threadsafe(then)
        except RuntimeError:
            # The loop is over.
            otherwise()

    def _has_room(self) -> bool:
        is_held = self._has_failed and not self._goes_on
        has_room = len(self._calls) < self._concurrency and self._in_hand < self._window
        return has_room and not self._is_over and not is_held

    def _begin_more(self) -> None:
        if self._taker is not None or not self._has_room():
            return
        self._open.__enter__()
        self._taker = self._start(self._context.copy(), self._take_items())
        self._taker.add_done_callback(self._taken)

    def _start(self, context: contextvars.Context, work: Coroutine[Any, Any, Any]) -> Any:
        return context.run(self._loop.create_task, work)

    async def _take_items(self) -> None:
        while self._has_room():
            item = await anext(self._items, _END) if self._is_async else next(self._items, _END)
            if item is _END:
                self._is_over = True
                return
            if self._next >= ITEMS_MAX:
                raise InvalidDefinition(f"map takes at most {ITEMS_MAX:,} items; give each call a batch.")
            # In the order of the items, because equal keys are numbered.
            self._begin(self._next, item, self._source.path_of(self._next, item))
            self._next += 1

    def _taken(self, taker: Any) -> None:
        self._taker = None
        error = None if taker.cancelled() else taker.exception()
        if taker.cancelled() or error is not None:
            self._is_over = True
        if error is not None:
            self._fault = error
        self._begin_more()
        self._changed.set()
        self._open.__exit__()

    def _begin(self, index: int, item: Any, path: str) -> None:
        self._in_hand += 1
        self._open.__enter__()
        context = self._context.copy()
        call = self._start(context, context.run(self._source.run, item, path))
        self._calls.add(call)
        call.add_done_callback(lambda ended: self._ended(index, item, ended))

    def _ended(self, index: int, item: Any, call: Any) -> None:
        import asyncio

        self._calls.discard(call)
        error = asyncio.CancelledError() if call.cancelled() else call.exception()
        if self._is_wanted:
            self._ready.append(Outcome(index, item, None if error is not None else call.result(), error))
        else:
            self._in_hand -= 1
        if error is not None:
            # At once: the code that waits hears of it later, and the next item would begin meanwhile.
            self._has_failed = True
            if self._goes_on is False:
                self.stop()
        self._begin_more()
        self._changed.set()
        self._open.__exit__()


_END: Any = object()


class AsyncMap(Generic[Result]):
    """The running calls of one `.map` of an `async def` task.

    Take the results once: await it for all of them, `await settled()` for all outcomes, or `async for` one by one. While
    they are iterated, only a limited number of items is in memory.
    """

    def __init__(self, name: str, run: ActiveRun, pump: AsyncPump, settled: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._pump = pump
        self._end = settled
        self._is_taken = False
        run.untaken.add(pump)
        run.lineage.note_results(self, pump.path)

    def __await__(self) -> Generator[Any, None, list[Result]]:
        """All results in the order of the items. After a failed call no further item starts.

        Raises:
            BaseException: the first error, once the running calls have ended.
        """
        return self._results().__await__()

    async def settled(self) -> list[Outcome]:
        """All outcomes in the order of the items, failures too."""
        self._take(goes_on=True)
        found: list[Outcome] = []
        try:
            while (one := await self._next()) is not None:
                self._pump.release()
                found.append(one)
        finally:
            await self._drain()
        found.sort(key=lambda one: one.index)
        self._run.lineage.note_results(found, self._pump.path)
        return found

    async def __aiter__(self) -> AsyncIterator[Result]:
        """Results one by one, in the order of the items. Raises the first error at its position."""
        self._take(goes_on=False)
        waiting: dict[int, Outcome] = {}
        try:
            for index in range(ITEMS_MAX + 1):
                while index not in waiting:
                    one = await self._next()
                    if one is None:
                        return
                    waiting[one.index] = one
                self._pump.release()
                yield waiting.pop(index).result()
        finally:
            await self._drain()

    async def _results(self) -> list[Result]:
        self._take(goes_on=False)
        found: list[Any] = []
        error: BaseException | None = None
        try:
            while (one := await self._next()) is not None:
                self._pump.release()
                if one.error is None:
                    put(found, one)
                else:
                    error = error or one.error
        finally:
            await self._drain()
        if error is not None:
            raise error
        self._run.lineage.note_results(found, self._pump.path)
        return found

    async def _next(self) -> Outcome | None:
        """The next outcome. If the waiting code is cancelled, so are the calls."""
        import asyncio

        try:
            return await self._pump.take()
        except asyncio.CancelledError:
            self._pump.cancel_calls()
            raise

    async def _drain(self) -> None:
        """Returns once no call runs."""
        self._pump.stop()
        try:
            while await self._next() is not None:
                self._pump.release()
        finally:
            self._end()

    def _take(self, *, goes_on: bool) -> None:
        if self._is_taken:
            raise InvalidDefinition(f'task "{self._name}": the results of one map were read twice; read them once.')
        self._is_taken = True
        self._run.untaken.discard(self._pump)
        self._pump.choose(goes_on=goes_on)
