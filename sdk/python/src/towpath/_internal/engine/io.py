"""How a task call waits. The engine is written once, as coroutines. A plain `def` task drives them to the end without a
loop, because each of these blocks; an `async def` task awaits them.
"""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from ..clock import Clock
from ..problem import Cancelled
from .cancel import Cancel
from .forks import in_own_process, in_own_process_after
from .host import Records
from .interrupt import in_author_code, is_interruptible

Result = TypeVar("Result")


_CLEANUP_MS = 4000
"""How long a function may clean up after a cancellation: less than a worker waits before it kills."""


class Limit(NamedTuple):
    """What happens to a function that was asked to stop and does not end."""

    grace_ms: float
    """How long it may take to end after its time limit."""
    on_left: Callable[[], None]
    """Called when it is left running."""
    heard: Callable[[], object] = lambda: None
    """Called in the event loop once the function is told to stop, which shows that nothing blocks the loop."""

    def wait_s(self, reason: BaseException | None) -> float:
        """How long to wait for its end."""
        return (_CLEANUP_MS if isinstance(reason, Cancelled) else self.grace_ms) / 1000


class Io(Protocol):
    """What the engine waits for."""

    async def held(self, records: Records, record: Mapping[str, Any]) -> None:
        """Posts a record, and returns once it cannot be lost with this process."""

    async def stored(self, records: Records, record: Mapping[str, Any]) -> None:
        """Posts a record, and returns once the control plane has it."""

    async def blocking(self, fn: Callable[[], Result]) -> Result:
        """Calls a function of the engine that blocks."""
        ...

    async def let_others_run(self) -> None:
        """Gives the event loop a turn. Calls with earlier results wait for nothing, so a loop of them would block it."""

    async def pause(self, clock: Clock, ms: float, cancel: Cancel) -> None:
        """Waits. @raises the reason to stop."""

    async def invoke(
        self, fn: Callable[[], Any], cancel: Cancel, limit: Limit | None, context: contextvars.Context | None = None
    ) -> Any:
        """Calls the author's function, and asks it to stop when there is a request. A function with a limit that does not
        end is left running.

        Args:
            context: where all of the function runs. None: in the caller's.
        """


class BlockingIo:
    """Blocks the calling thread."""

    async def held(self, records: Records, record: Mapping[str, Any]) -> None:
        records.post_held(record)

    async def stored(self, records: Records, record: Mapping[str, Any]) -> None:
        records.post_stored(record)

    async def blocking(self, fn: Callable[[], Result]) -> Result:
        return fn()

    async def let_others_run(self) -> None:
        """Other threads run anyway."""

    async def pause(self, clock: Clock, ms: float, cancel: Cancel) -> None:
        clock.pause(ms, cancel)

    async def invoke(
        self, fn: Callable[[], Any], cancel: Cancel, limit: Limit | None, context: contextvars.Context | None = None
    ) -> Any:
        if context is not None:
            fn = functools.partial(context.run, fn)
        if limit is None or is_interruptible():
            return in_author_code(cancel, fn, None if limit is None else limit.grace_ms)
        return _in_thread_with_limit(fn, cancel, limit)


def _in_thread_with_limit(fn: Callable[[], Any], cancel: Cancel, limit: Limit) -> Any:
    """Calls a function in a thread of its own, because nothing interrupts a thread but the main one."""
    changed = threading.Condition(threading.Lock())
    ended: list[tuple[Any, BaseException | None]] = []

    def wake() -> None:
        with changed:
            changed.notify_all()

    def work() -> None:
        try:
            ended.append((in_own_process(fn), None))
        except BaseException as error:
            ended.append((None, error))
        wake()

    threading.Thread(target=work, name="towpath-limited", daemon=True).start()
    forget = cancel.listen(lambda _: wake())
    with changed:
        changed.wait_for(lambda: len(ended) > 0 or cancel.reason is not None)
        changed.wait_for(lambda: len(ended) > 0, limit.wait_s(cancel.reason))
    forget()
    if not ended:
        limit.on_left()
        cancel.raise_if_asked()
    value, error = ended[0]
    if error is not None:
        raise error
    return value


BLOCKING = BlockingIo()


def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Drives a coroutine of the engine whose every wait blocks."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    work.close()
    raise RuntimeError("The engine awaited something in a plain def task.")


class LoopIo:
    """Waits in the running event loop."""

    async def held(self, records: Records, record: Mapping[str, Any]) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def then(error: BaseException | None) -> None:
            soon(loop, lambda: _settle(done, error))

        records.when_held(record, then)
        await done

    async def stored(self, records: Records, record: Mapping[str, Any]) -> None:
        await in_thread(lambda: records.post_stored(record))

    async def blocking(self, fn: Callable[[], Result]) -> Result:
        return await in_thread(fn)

    async def let_others_run(self) -> None:
        import asyncio

        await asyncio.sleep(0)

    async def pause(self, clock: Clock, ms: float, cancel: Cancel) -> None:
        await in_thread(lambda: clock.pause(ms, cancel))

    async def invoke(
        self,
        fn: Callable[[], Awaitable[Any]],
        cancel: Cancel,
        limit: Limit | None,
        context: contextvars.Context | None = None,
    ) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        # A task of asyncio copies the context that it is created in. The context of a function that only makes a coroutine
        # would not be that of the coroutine.
        own = contextvars.copy_context() if context is None else context
        work = own.run(loop.create_task, _awaited(fn, cancel))
        asked: asyncio.Future[None] = loop.create_future()
        forget = cancel.listen(lambda _: soon(loop, lambda: _settle(asked, None)))
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                if limit is not None:
                    limit.heard()
                await asyncio.wait({work}, timeout=None if limit is None else limit.wait_s(cancel.reason))
            if not work.done() and limit is not None:
                limit.on_left()
                cancel.raise_if_asked()
            return _result_of(work, cancel)
        except asyncio.CancelledError:
            # The author cancelled the call, such as with a time limit of asyncio.
            work.cancel()
            raise
        finally:
            asked.cancel()
            forget()


def soon(loop: Any, then: Callable[[], object]) -> None:
    """Calls a function in the loop's thread, unless the loop is over."""
    try:
        loop.call_soon_threadsafe(then)
    except RuntimeError:
        pass


async def _awaited(fn: Callable[[], Awaitable[Any]], cancel: Cancel) -> Any:
    # A request that came before it began has been answered. It must not begin, because nothing asks it again.
    cancel.raise_if_asked()
    work = fn()
    pid = os.getpid()
    try:
        result = await work
    except BaseException as error:
        in_own_process_after(pid, error)
        raise
    in_own_process_after(pid, None)
    return result


def _result_of(work: Any, cancel: Cancel) -> Any:
    if work.cancelled():
        raise cancel.reason or Cancelled("the task cancelled itself")
    error = work.exception()
    if error is not None:
        raise error
    return work.result()


def _settle(done: Any, error: BaseException | None, value: Any = None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(value)
    else:
        done.set_exception(error)


LOOP = LoopIo()


async def in_thread(fn: Callable[[], Result]) -> Result:
    """Awaits a function that blocks. Its thread does not keep the process alive, and it has no queue: a wait may block it
    for days."""
    import asyncio

    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def work() -> None:
        try:
            value = fn()
        except BaseException as error:
            soon(loop, functools.partial(_settle, done, error))
        else:
            soon(loop, functools.partial(_settle, done, None, value))

    threading.Thread(target=work, name="towpath-wait", daemon=True).start()
    return await done
