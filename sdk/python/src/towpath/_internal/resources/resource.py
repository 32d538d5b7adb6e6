"""Resources: values that are opened on the worker when they are first used in an attempt, and closed before it ends."""

from __future__ import annotations

import contextvars
import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar, overload

from ..engine.interrupt import in_author_code, in_engine_code
from ..engine.scope import Scope, current, scope_for
from ..problem import AsyncInSync, Fault, InvalidDefinition, InvalidResource
from ..task.durations import Duration, ms_of
from .opened import Closing
from .settings import overridden, unknown_settings, with_secret_values

Value = TypeVar("Value")

_CLOSE_TIMEOUT: Duration = 5
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_AGAIN = "It yields more than once: yield the value, then close it."


_declared: dict[str, _Base] = {}


def declared_resources() -> list[_Base]:
    """The resources that the imported modules declare."""
    return list(_declared.values())


class _Base:
    def __init__(self, fn: Callable[..., Any], name: str, settings: Any, close_timeout: Duration) -> None:
        self.fn = fn
        self.name = name
        self.settings = {} if settings is None else settings
        self._max_ms = ms_of(f'resource "{name}": close_timeout', close_timeout)
        parameters = list(inspect.signature(fn).parameters)
        if len(parameters) > 1:
            raise InvalidDefinition(f'resource "{name}": its function takes the settings as one parameter, or nothing.')
        if settings is not None and not parameters:
            raise InvalidDefinition(
                f'resource "{name}" has settings, but its function takes none: give it a parameter.'
            )
        self._parameter = parameters[0] if parameters else None
        _declared[name] = self

    @property
    def _what(self) -> str:
        return f'Resource "{self.name}"'

    def kind_of_settings(self) -> Any:
        """The type of the settings: the annotation of the function's parameter."""
        import typing

        hints = typing.get_type_hints(self.fn, include_extras=True)
        return Any if self._parameter is None else hints.get(self._parameter, Any)

    def _arguments(self, scope: Scope) -> tuple[Any, ...]:
        """The settings, if the function takes any. @raises InvalidResource"""
        if self._parameter is None:
            return ()
        from ..input.convert import convert, is_open

        host = scope.run.host
        kind = self.kind_of_settings()
        given = host.settings_of(self.name)
        faults: list[Fault] = unknown_settings(self.settings, given) if is_open(kind) else []
        value = convert(kind, with_secret_values(overridden(self.settings, given), host.secret), "settings", faults)
        if faults:
            raise InvalidResource(self.name, faults)
        return (value,)

    def _scope(self) -> Scope:
        scope = scope_for(self._what)
        scope.cancel.raise_if_asked()
        return scope

    def _of_run(self, scope: Scope) -> Scope:
        """The resource outlives the task that opens it, so it belongs to the run."""
        return replace(scope, path="", cancel=scope.run.cancel, holder=None)

    def _closing(self, close: Callable[[], Any], *, is_async: bool) -> Closing:
        return Closing(f'Closing resource "{self.name}"', self._max_ms, close, is_async)

    def _without_value(self) -> InvalidDefinition:
        return InvalidDefinition(f'resource "{self.name}" has ended without a value: yield it once.')


class Resource(_Base, Generic[Value]):
    """A resource whose function is a plain generator."""

    def get(self) -> Value:
        """The value. The first call in an attempt opens it; later calls get the same value. If opening failed, the next call
        tries again.

        Raises:
            InvalidResource: its settings are not valid.
        """
        value: Value = in_engine_code(self._get)
        return value

    def _get(self) -> Any:
        scope = self._scope()
        fakes = scope.run.host.fakes
        if self.name in fakes:
            return fakes[self.name]
        return scope.run.opened.value(self, lambda: self._open(scope), scope.cancel)

    def _open(self, scope: Scope) -> tuple[Any, Closing]:
        generator: Generator[Any, None, None] = self.fn(*self._arguments(scope))
        context = contextvars.copy_context()
        context.run(current.set, self._of_run(scope))
        try:
            value = in_author_code(scope.run.cancel, lambda: context.run(next, generator))
        except StopIteration:
            raise self._without_value() from None

        def close() -> None:
            try:
                context.run(next, generator)
            except StopIteration:
                return
            raise InvalidDefinition(_AGAIN)

        return value, self._closing(close, is_async=False)


class AsyncResource(_Base, Generic[Value]):
    """A resource whose function is an async generator."""

    def get(self) -> Coroutine[Any, Any, Value]:
        """The value, to be awaited. As `get` of a plain resource."""
        scope = self._scope()
        if not scope.is_async:
            raise AsyncInSync(self._what, scope.run.flow)
        return self._awaited(scope)

    async def _awaited(self, scope: Scope) -> Value:
        fakes = scope.run.host.fakes
        if self.name in fakes:
            fake: Value = fakes[self.name]
            return fake
        value: Value = await scope.run.opened.value_in_loop(self, lambda: self._open(scope))
        return value

    async def _open(self, scope: Scope) -> tuple[Any, Closing]:
        # The context is the opening's own, because a task of asyncio opens it.
        current.set(self._of_run(scope))
        generator: AsyncGenerator[Any, None] = self.fn(*self._arguments(scope))
        try:
            value = await generator.__anext__()
        except StopAsyncIteration:
            raise self._without_value() from None

        async def close() -> None:
            current.set(self._of_run(scope))
            try:
                await generator.__anext__()
            except StopAsyncIteration:
                return
            raise InvalidDefinition(_AGAIN)

        return value, self._closing(close, is_async=True)


class _Decorator:
    def __init__(self, name: str | None, settings: Any, close_timeout: Duration) -> None:
        self._name = name
        self._settings = settings
        self._close_timeout = close_timeout

    @overload
    def __call__(self, open: Callable[..., Iterator[Value]]) -> Resource[Value]: ...

    @overload
    def __call__(self, open: Callable[..., AsyncIterator[Value]]) -> AsyncResource[Value]: ...

    def __call__(self, open: Callable[..., Any]) -> Any:
        name = self._name or getattr(open, "__name__", "").replace("_", "-").strip("-").lower()
        if not _NAME.match(name):
            raise InvalidDefinition(
                f'resource name "{name}": use lower-case letters, digits, - and _, at most 63, starting with a letter or '
                "digit."
            )
        if inspect.isgeneratorfunction(open):
            return Resource(open, name, self._settings, self._close_timeout)
        if inspect.isasyncgenfunction(open):
            return AsyncResource(open, name, self._settings, self._close_timeout)
        raise InvalidDefinition(
            f'resource "{name}": write it as a function that yields its value once, then closes it.'
        )


@overload
def resource(open: Callable[..., Iterator[Value]], /) -> Resource[Value]: ...


@overload
def resource(open: Callable[..., AsyncIterator[Value]], /) -> AsyncResource[Value]: ...


@overload
def resource(
    *, name: str | None = ..., settings: Mapping[str, Any] | None = ..., close_timeout: Duration = ...
) -> _Decorator: ...


def resource(
    open: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    close_timeout: Duration = _CLOSE_TIMEOUT,
) -> Any:
    """Declares a resource: a generator that yields its value once, and closes it after that. It is opened on the worker when
    it is first used in an attempt, and closed before the attempt ends, however it ends.

    Args:
        name: its name in stages: 1 to 63 of a-z, 0-9, - and _. Default: the function's name, with - for _.
        settings: the argument of the function, unless a stage says otherwise. Parts of it may come from secrets:
            `from_secret("...")`. They are checked against the parameter's annotation, such as a dataclass.
        close_timeout: time limit for closing. A failure is a warning in the log.

    Raises:
        InvalidDefinition: names the invalid option.

    Example:
        @resource(settings={"url": "postgres://localhost/dev", "password": from_secret("db-password")})
        def warehouse(settings):
            connection = connect(**settings)
            yield connection
            connection.close()

        rows = warehouse.get().query("select 1")
    """
    made = _Decorator(name, settings, close_timeout)
    return made if open is None else made(open)
