"""`.map`: one call for each item, with bounded concurrency and memory."""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..engine.cancel import Cancel
from ..engine.forks import refuse_if_forked
from ..engine.interrupt import in_engine_code
from ..engine.io import in_thread
from ..engine.scope import ActiveRun, OpenCalls, current
from ..problem import InvalidDefinition
from .pool import Pool

Result = TypeVar("Result")

WINDOW_PER_CALL = 2
"""Items per concurrent call, when results are taken one by one."""
ITEMS_MAX = 10_000_000
_END: Any = object()


def put(results: list[Any], one: Outcome) -> None:
    """Puts a result in its position. The list needs a tenth of the memory of a dict."""
    missing = one.index + 1 - len(results)
    if missing > 0:
        results.extend([None] * missing)
    results[one.index] = one.value


@dataclass(frozen=True)
class Outcome:
    """How the call of one item ended. `error` is None for a success."""

    index: int
    item: Any
    value: Any
    error: BaseException | None

    def result(self) -> Any:
        """The result. @raises BaseException what the call raised."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True)
class Source:
    """The items of a map, and what is done with each."""

    items: Any
    path: str
    """The path of the map."""
    path_of: Callable[[int, Any], str]
    """The path of an item's call, by index and item. Called in the order of the items."""
    run: Callable[[Any, str], Any]
    """Calls the task with an item, at a path. Of an `async def` task, it returns the coroutine of the call."""


class Pump:
    """Takes items, runs their calls in threads, and gives back the outcomes as they end.

    A worker is a function in the pool that runs one call after another. It leaves its thread when there is no room for
    another outcome, and begins again when there is. While there is a worker, the run counts a call as open, so that the
    run is not suspended between two items.
    """

    def __init__(self, source: Source, *, pool: Pool, open_: OpenCalls, cancel: Cancel, concurrency: int) -> None:
        self._source = source
        self.pid = os.getpid()
        self.path = source.path
        self._items = iter(source.items)
        # Items and calls belong to the code that called map: its run, and its context variables.
        self._context = contextvars.copy_context()
        self._pool = pool
        self._open = open_
        self._cancel = cancel
        self._concurrency = concurrency
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        self._ready: deque[Outcome] = deque()
        self._next = 0
        self._in_hand = 0
        self._running = 0
        self._workers = 0
        self._is_over = False
        self._is_wanted = True
        self._has_failed = False
        self._goes_on: bool | None = None
        self._fault: BaseException | None = None
        self._window = concurrency * WINDOW_PER_CALL
        with self._changed:
            self._begin_more()

    def take(self) -> Outcome | None:
        """The next outcome, or None after the last. @raises BaseException what the source of the items raised."""
        refuse_if_forked(self.pid, "The results of a map")
        scope = current.get()
        cancel = self._cancel if scope is None else scope.cancel
        forget = cancel.listen(lambda _: self._wake())
        try:
            while True:
                with self._changed:
                    if self._ready:
                        return self._ready.popleft()
                    if self._is_over and self._running == 0:
                        self._end()
                        return None
                    cancel.raise_if_asked()
                    is_idle = self._running == 0
                # No thread is free for these calls: all of them may wait for calls like these.
                if is_idle and self._pool.take_back(self._work):
                    self._work_once()
                    continue
                with self._open.resting(), self._changed:
                    if not self._ready and not (self._is_over and self._running == 0) and cancel.reason is None:
                        self._changed.wait()
        finally:
            forget()

    def release(self) -> None:
        """Makes room for another item."""
        with self._changed:
            self._in_hand -= 1
            self._begin_more()

    def choose(self, *, goes_on: bool) -> None:
        """Says whether items begin after a failed call. Until then, none does."""
        with self._changed:
            self._goes_on = goes_on
            if goes_on:
                self._begin_more()
            elif self._has_failed:
                self._is_over = True
                self._changed.notify_all()

    def stop(self) -> None:
        """Starts no more calls."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def discard(self) -> None:
        """Runs all calls, and drops their outcomes: nobody takes them."""
        with self._changed:
            self._is_wanted = False
            self._goes_on = True
            self._in_hand -= len(self._ready)
            self._ready.clear()
            self._begin_more()

    def _end(self) -> None:
        if self._fault is not None:
            raise self._fault
        self._cancel.raise_if_asked()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _is_held(self) -> bool:
        return self._has_failed and not self._goes_on

    def _begin_more(self) -> None:
        """Begins as many workers as there is room for. The caller has the lock."""
        while (
            not self._is_over
            and not self._is_held()
            and self._workers < self._concurrency
            and self._in_hand + self._workers - self._running < self._window
        ):
            self._workers += 1
            self._open.__enter__()
            self._pool.submit(self._work)

    def _work(self) -> None:
        while self._step():
            pass
        self._open.__exit__()

    def _work_once(self) -> None:
        if self._step():
            self._pool.submit(self._work)
        else:
            self._open.__exit__()

    def _step(self) -> bool:
        """Runs the call of one item. @returns False if the worker has ended."""
        with self._changed:
            if self._cancel.reason is not None:
                self._is_over = True
            if self._is_over or self._is_held() or self._in_hand >= self._window:
                self._workers -= 1
                self._changed.notify_all()
                return False
            self._in_hand += 1
            self._running += 1
        outcome = self._one()
        with self._changed:
            self._running -= 1
            if outcome is not None and outcome.error is not None:
                # At once: the code that waits hears of it later, and the next item would begin meanwhile.
                self._has_failed = True
                self._is_over = self._is_over or self._goes_on is False
            if outcome is not None and self._is_wanted:
                self._ready.append(outcome)
            else:
                self._in_hand -= 1
            self._changed.notify_all()
        return True

    def _one(self) -> Outcome | None:
        with self._taking:
            if self._is_over:
                return None
            index = self._next
            try:
                item = self._context.run(next, self._items)
                if index >= ITEMS_MAX:
                    raise InvalidDefinition(f"map takes at most {ITEMS_MAX:,} items; give each call a batch.")
                # In the order of the items, because equal keys are numbered.
                path = self._source.path_of(index, item)
            except StopIteration:
                self._is_over = True
                return None
            except BaseException as error:
                self._fault, self._is_over = error, True
                return None
            self._next += 1
        try:
            return Outcome(index, item, self._context.copy().run(self._source.run, item, path), None)
        except BaseException as error:
            return Outcome(index, item, None, error)


class Map(Generic[Result]):
    """The running calls of one `.map`.

    Take the results once: all of them with `results()`, all outcomes with `settled()`, or one by one by iterating. While
    they are iterated, only a limited number of items is in memory.

    Async code awaits it for all results, or iterates with `async for`: neither blocks the event loop.
    """

    def __init__(self, name: str, run: ActiveRun, pump: Pump, settled: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._pump = pump
        self._end = settled
        self._is_taken = False
        run.untaken.add(pump)
        run.lineage.note_results(self, pump.path)

    def results(self) -> list[Result]:
        """All results in the order of the items. After a failed call no further item starts.

        Raises:
            BaseException: the first error, once the running calls have ended.
        """
        return in_engine_code(self._results)

    def settled(self) -> list[Outcome]:
        """All outcomes in the order of the items, failures too."""
        return in_engine_code(self._settled)

    def __iter__(self) -> Iterator[Result]:
        """Results one by one, in the order of the items. Raises the first error at its position."""
        self._take(goes_on=False)
        waiting: dict[int, Outcome] = {}
        try:
            for index in range(ITEMS_MAX + 1):
                while index not in waiting:
                    one = in_engine_code(self._pump.take)
                    if one is None:
                        return
                    waiting[one.index] = one
                self._pump.release()
                yield waiting.pop(index).result()
        finally:
            # A process that was forked meanwhile has none of the calls.
            if self._pump.pid == os.getpid():
                self._pump.stop()
                in_engine_code(self._drain)

    def __await__(self) -> Generator[Any, None, list[Result]]:
        return in_thread(self._results).__await__()

    async def __aiter__(self) -> AsyncIterator[Result]:
        results: Any = iter(self)
        try:
            while (one := await in_thread(lambda: next(results, _END))) is not _END:
                yield one
        finally:
            self._pump.stop()
            if not results.gi_running:
                await in_thread(results.close)

    def _results(self) -> list[Result]:
        found: list[Any] = []
        error: BaseException | None = None
        for one in self._outcomes(goes_on=False):
            if one.error is None:
                put(found, one)
            else:
                error = error or one.error
        if error is not None:
            raise error
        self._run.lineage.note_results(found, self._pump.path)
        return found

    def _settled(self) -> list[Outcome]:
        found = sorted(self._outcomes(goes_on=True), key=lambda one: one.index)
        self._run.lineage.note_results(found, self._pump.path)
        return found

    def _outcomes(self, *, goes_on: bool) -> Iterator[Outcome]:
        self._take(goes_on=goes_on)
        try:
            while (one := self._pump.take()) is not None:
                self._pump.release()
                yield one
        finally:
            self._pump.stop()
            self._end()

    def _drain(self) -> None:
        try:
            while self._pump.take() is not None:
                self._pump.release()
        finally:
            self._end()

    def _take(self, *, goes_on: bool) -> None:
        refuse_if_forked(self._pump.pid, "The results of a map")
        if self._is_taken:
            raise InvalidDefinition(f'task "{self._name}": the results of one map were read twice; read them once.')
        self._is_taken = True
        self._run.untaken.discard(self._pump)
        self._pump.choose(goes_on=goes_on)
