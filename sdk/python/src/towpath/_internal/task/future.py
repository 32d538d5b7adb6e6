"""A submitted task call."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Generator
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

from ..engine.cancel import Cancel
from ..engine.forks import refuse_if_forked
from ..engine.interrupt import in_engine_code
from ..engine.io import in_thread
from ..engine.scope import OpenCalls, current
from .pool import Pool

Result = TypeVar("Result")


class AsyncFuture(Generic[Result]):
    """A call of an `async def` task that runs beside the calling code. The run waits for it before it ends."""

    def __init__(self, call: Any, open_: OpenCalls, settled: Callable[[], None]) -> None:
        """
        Args:
            call: the coroutine of the call. It begins in the running loop.
            settled: marks the call as ended. A coroutine that is cancelled before it begins does not.
        """
        import asyncio

        open_.__enter__()
        self._task = asyncio.get_running_loop().create_task(call)
        self._open = open_
        self._settled = settled
        self._task.add_done_callback(self._ended)

    def __await__(self) -> Generator[Any, None, Result]:
        """The result, or what the task raised. As with asyncio, a cancellation of the waiting code cancels the call."""
        found: Generator[Any, None, Result] = self._task.__await__()
        return found

    def done(self) -> bool:
        """Whether the call has ended."""
        return bool(self._task.done())

    def _ended(self, task: Any) -> None:
        if not task.cancelled():
            # The run has recorded the error. asyncio must not complain that nobody took it.
            task.exception()
        self._settled()
        self._open.__exit__()


class Future(Generic[Result]):
    """A task call that runs in a thread of its own. The run waits for it before it ends."""

    def __init__(self, pool: Pool, work: Callable[[], Result]) -> None:
        self._work = work
        self._context = contextvars.copy_context()
        self._changed = threading.Condition(threading.Lock())
        self._is_done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._pool = pool
        self._pid = os.getpid()
        pool.submit(self._run)

    def result(self) -> Result:
        """Waits for the end of the call, and returns its result.

        Raises:
            BaseException: what the task raised.
        """
        return in_engine_code(self._result)

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._is_done

    def exception(self) -> BaseException | None:
        """Waits for the end of the call, and returns its error, or None."""
        in_engine_code(self._wait)
        return self._error

    def __await__(self) -> Generator[Any, None, Result]:
        """Waits without blocking the event loop. A cancellation of the waiting code does not end the call's thread."""
        return in_thread(self.result).__await__()

    def _result(self) -> Result:
        self._wait()
        if self._error is not None:
            raise self._error
        result: Result = self._value
        return result

    def _wait(self) -> None:
        refuse_if_forked(self._pid, "The result of a submitted task")
        # A call that no thread has begun runs here: all threads may be waiting for calls like it.
        if not self._is_done and self._pool.take_back(self._run):
            self._run()
        if self._is_done:
            return
        scope = current.get()
        cancel = Cancel() if scope is None else scope.cancel
        forget = cancel.listen(lambda _: self._wake())
        with nullcontext() if scope is None else scope.run.open.resting(), self._changed:
            self._changed.wait_for(lambda: self._is_done or cancel.reason is not None)
        forget()
        if not self._is_done:
            # Nothing ends a call in another thread. Whoever waits for it was asked to stop.
            cancel.raise_if_asked()

    def _run(self) -> None:
        try:
            self._value = self._context.run(self._work)
        except BaseException as error:
            self._error = error
        self._is_done = True
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
