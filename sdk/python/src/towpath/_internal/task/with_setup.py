"""A set-up, a body and a tear-down that runs however the body ends."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar, overload

from ..engine.cancel import Cancel
from ..engine.describe_error import stack_of
from ..engine.interrupt import in_author_code, in_engine_code
from ..engine.scope import Scope, current, scope_for
from ..engine.timers import TIMERS
from ..problem import AsyncInSync, InvalidDefinition, TowpathError
from .durations import Duration, ms_of

Value = TypeVar("Value")

_TEARDOWN_TIMEOUT: Duration = 10


class with_setup(Generic[Value]):
    """Runs a set-up before the body of a `with`, and its tear-down after it, even if the body fails or the run is cancelled. A
    suspended run is torn down. A later attempt runs the set-up again, unless it says `reuse`.

    In an async flow, write `async with`: then both may be `async def`.

    Args:
        setup: the set-up. It may call tasks.
        teardown: the tear-down, called with the value of the set-up. Make it safe to call when the set-up stopped halfway: a
            killed process runs no tear-down.
        teardown_timeout: time limit of the tear-down. After a cancellation, the worker's time until it kills counts too.
        reuse: whether a later attempt reuses the results of tasks in the set-up. Then a suspended run is not torn down,
            and nothing tears it down if the run ends meanwhile.

    Raises:
        BaseException: what the tear-down raises, if the body raised nothing; else the log warns.

    Example:
        with with_setup(lambda: start_cluster(4), stop_cluster) as cluster:
            train(cluster.address)
    """

    @overload
    def __init__(
        self,
        setup: Callable[[], Awaitable[Value]],
        teardown: Callable[[Value], Any],
        *,
        teardown_timeout: Duration = ...,
        reuse: bool = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        setup: Callable[[], Value],
        teardown: Callable[[Value], Any],
        *,
        teardown_timeout: Duration = ...,
        reuse: bool = ...,
    ) -> None: ...

    def __init__(
        self,
        setup: Callable[[], Any],
        teardown: Callable[[Any], Any],
        *,
        teardown_timeout: Duration = _TEARDOWN_TIMEOUT,
        reuse: bool = False,
    ) -> None:
        if not callable(setup) or not callable(teardown):
            raise InvalidDefinition("with_setup takes a function for the set-up, and one for the tear-down.")
        self._setup = setup
        self._teardown = teardown
        self._max_ms = ms_of("with_setup: teardown_timeout", teardown_timeout)
        self._reuse = reuse
        self._value: Any = None
        self._scope: Scope | None = None
        self._undo: Callable[[], Any] = self._torn_down

    def __enter__(self) -> Value:
        scope = self._begin()
        value = self._in(scope, self._setup)
        if inspect.iscoroutine(value):
            value.close()
            raise AsyncInSync("The set-up", scope.run.flow)
        return self._entered(scope, value)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        in_engine_code(self._left, error)

    async def __aenter__(self) -> Value:
        scope = self._begin()
        value = self._in(scope, self._setup)
        if inspect.isawaitable(value):
            token = current.set(replace(scope, anew=not self._reuse))
            try:
                value = await value
            finally:
                current.reset(token)
        return self._entered(scope, value)

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._is_forked():
            return
        self._leave()
        try:
            await self._torn_down_in_loop()
        except BaseException as late:
            self._failed(error, late)

    def _begin(self) -> Scope:
        scope = scope_for("with_setup")
        scope.cancel.raise_if_asked()
        return scope

    def _in(self, scope: Scope, fn: Callable[[], Any]) -> Any:
        token = current.set(replace(scope, anew=not self._reuse))
        try:
            return fn()
        finally:
            current.reset(token)

    def _entered(self, scope: Scope, value: Any) -> Value:
        self._scope, self._value = scope, value
        if not self._reuse:
            self._undo = self._torn_down_in_loop if scope.is_async else self._torn_down
            scope.run.when_suspended.append(self._undo)
        entered: Value = value
        return entered

    def _leave(self) -> None:
        if self._scope is not None and self._undo in self._scope.run.when_suspended:
            self._scope.run.when_suspended.remove(self._undo)

    def _is_forked(self) -> bool:
        """Whether the body has forked this process. What was set up belongs to the other one."""
        return self._scope is not None and self._scope.run.pid != os.getpid()

    def _left(self, error: BaseException | None) -> None:
        if self._is_forked():
            return
        self._leave()
        try:
            self._torn_down()
        except BaseException as late:
            self._failed(error, late)

    def _failed(self, error: BaseException | None, late: BaseException) -> None:
        if error is None or self._scope is None:
            raise late
        self._scope.run.warn(f"The tear-down failed: {stack_of(late)}")

    def _own_scope(self, cancel: Cancel) -> Scope:
        """The tear-down has a request to stop of its own: it runs even if the run must stop."""
        assert self._scope is not None
        return replace(self._scope, cancel=cancel, anew=True)

    def _limit(self, cancel: Cancel) -> Callable[[], None]:
        late = TowpathError(f"The tear-down took longer than {self._max_ms / 1000:g} s.")
        return TIMERS.after(self._max_ms, lambda: cancel.abort(late))

    def _torn_down(self) -> None:
        cancel = Cancel()
        take_back = self._limit(cancel)
        token = current.set(self._own_scope(cancel))
        try:
            told = in_author_code(cancel, lambda: self._teardown(self._value), shields=True)
            if inspect.iscoroutine(told):
                told.close()
                raise AsyncInSync("The tear-down", self._own_scope(cancel).run.flow)
        finally:
            current.reset(token)
            take_back()

    async def _torn_down_in_loop(self) -> None:
        import asyncio

        cancel = Cancel()
        scope = self._own_scope(cancel)

        async def work() -> None:
            current.set(scope)
            told = self._teardown(self._value)
            if inspect.isawaitable(told):
                await told

        running = asyncio.ensure_future(work())
        # Not wait_for, which waits for ever for a function that ignores its cancellation.
        await asyncio.wait({running}, timeout=self._max_ms / 1000)
        if not running.done():
            late = TowpathError(f"The tear-down took longer than {self._max_ms / 1000:g} s.")
            cancel.abort(late)
            running.cancel()
            raise late
        running.result()
