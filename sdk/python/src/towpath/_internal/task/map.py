"""`.map`: one call for each item, with bounded concurrency and memory."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Generic, Iterable, Iterator, TypeVar

from ..engine.interrupt import in_engine_code
from ..engine.scope import OpenCalls
from ..problem import InvalidDefinition
from .pool import Pool

Result = TypeVar("Result")

_WINDOW_PER_CALL = 2
"""Items per concurrent call, when results are taken one by one."""
_ITEMS_MAX = 10_000_000


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


class Pump:
    """Takes items, runs their calls in threads, and gives back the outcomes as they end. While a thread may begin a call,
    the run counts it as open, so that the run is not suspended between two items."""

    def __init__(self, pool: Pool, open_: OpenCalls, items: Iterable[Any], run: Callable[[int, Any], Any], concurrency: int) -> None:
        self._open = open_
        self._items = iter(items)
        self._run = run
        self._pool = pool
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        self._ready: deque[Outcome] = deque()
        self._next = 0
        self._in_hand = 0
        self._running = 0
        self._is_over = False
        self._fault: BaseException | None = None
        self.window = concurrency * _WINDOW_PER_CALL
        for _ in range(concurrency):
            open_.__enter__()
            pool.submit(self._work)

    def take(self) -> Outcome | None:
        """The next outcome, or None after the last. @raises BaseException what the source of the items raised."""
        while True:
            with self._changed:
                if self._ready:
                    return self._ready.popleft()
                if self._is_over and self._running == 0:
                    if self._fault is not None:
                        raise self._fault
                    return None
                is_idle = self._running == 0
            # No thread is free for these calls: all of them may wait for calls like these.
            if is_idle and self._pool.take_back(self._work):
                self._step(may_wait=False)
                self._pool.submit(self._work)
                continue
            with self._changed:
                if not self._ready and not (self._is_over and self._running == 0):
                    self._changed.wait()

    def release(self) -> None:
        """Makes room for another item."""
        with self._changed:
            self._in_hand -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Starts no more calls."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _work(self) -> None:
        while self._step():
            pass
        self._open.__exit__()

    def _step(self, may_wait: bool = True) -> bool:
        """Runs the call of one item. @returns False after the last."""
        with self._changed:
            if self._in_hand >= self.window and not self._is_over:
                if not may_wait:
                    # Only the caller makes room.
                    return True
                # Until results are taken there is nothing to do, and the run may be suspended.
                self._open.__exit__()
                while not self._is_over and self._in_hand >= self.window:
                    self._changed.wait()
                self._open.__enter__()
            if self._is_over:
                return False
            self._in_hand += 1
            self._running += 1
        outcome = self._one()
        with self._changed:
            self._running -= 1
            if outcome is not None:
                self._ready.append(outcome)
            self._changed.notify_all()
        return outcome is not None

    def _one(self) -> Outcome | None:
        with self._taking:
            if self._is_over:
                return None
            index = self._next
            try:
                item = next(self._items)
                if index >= _ITEMS_MAX:
                    raise InvalidDefinition(f"map takes at most {_ITEMS_MAX:,} items; give each call a batch.")
            except StopIteration:
                self._is_over = True
                return None
            except BaseException as error:
                self._fault, self._is_over = error, True
                return None
            self._next += 1
        try:
            return Outcome(index, item, self._run(index, item), None)
        except BaseException as error:
            return Outcome(index, item, None, error)


class Map(Generic[Result]):
    """The running calls of one `.map`.

    Take the results once: all of them with `results()`, all outcomes with `settled()`, or one by one by iterating. While
    they are iterated, only a limited number of items is in memory.
    """

    def __init__(self, name: str, pump: Pump, settled: Callable[[], None]) -> None:
        self._name = name
        self._pump = pump
        self._end = settled
        self._is_taken = False

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
        self._take()
        waiting: dict[int, Outcome] = {}
        try:
            for index in range(_ITEMS_MAX + 1):
                while index not in waiting:
                    one = in_engine_code(self._pump.take)
                    if one is None:
                        return
                    if one.error is not None:
                        self._pump.stop()
                    waiting[one.index] = one
                self._pump.release()
                yield waiting.pop(index).result()
        finally:
            self._pump.stop()
            self._drain()

    def _results(self) -> list[Result]:
        found: dict[int, Any] = {}
        error: BaseException | None = None
        for one in self._outcomes():
            if one.error is None:
                found[one.index] = one.value
            elif error is None:
                error = one.error
                self._pump.stop()
        if error is not None:
            raise error
        return [found[index] for index in range(len(found))]

    def _settled(self) -> list[Outcome]:
        return sorted(self._outcomes(), key=lambda one: one.index)

    def _outcomes(self) -> Iterator[Outcome]:
        self._take()
        try:
            while (one := self._pump.take()) is not None:
                self._pump.release()
                yield one
        finally:
            self._end()

    def _drain(self) -> None:
        while in_engine_code(self._pump.take) is not None:
            self._pump.release()
        self._end()

    def _take(self) -> None:
        if self._is_taken:
            raise InvalidDefinition(f'task "{self._name}": the results of one map were read twice; read them once.')
        self._is_taken = True
