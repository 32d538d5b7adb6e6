"""A submitted task call."""

from __future__ import annotations

import threading
from typing import Any, Callable, Generic, TypeVar

from ..engine.interrupt import in_engine_code
from .pool import Pool

Result = TypeVar("Result")


class Future(Generic[Result]):
    """A task call that runs in a thread of its own. The run waits for it before it ends."""

    def __init__(self, pool: Pool, work: Callable[[], Result]) -> None:
        self._work = work
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._pool = pool
        pool.submit(self._run)

    def result(self) -> Result:
        """Waits for the end of the call, and returns its result.

        Raises:
            BaseException: what the task raised.
        """
        return in_engine_code(self._result)

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._done.is_set()

    def exception(self) -> BaseException | None:
        """Waits for the end of the call, and returns its error, or None."""
        in_engine_code(self._wait)
        return self._error

    def _result(self) -> Result:
        self._wait()
        if self._error is not None:
            raise self._error
        result: Result = self._value
        return result

    def _wait(self) -> None:
        # A call that no thread has begun runs here: all threads may be waiting for calls like it.
        if not self._done.is_set() and self._pool.take_back(self._run):
            self._run()
        self._done.wait()

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error
        self._done.set()
