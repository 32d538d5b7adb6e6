"""Tasks: steps of a flow with a name, retries and a time limit, whose calls are tracked and can be resumed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from ..clock import instant
from ..engine.interrupt import in_engine_code
from ..engine.io import BLOCKING, LOOP, finish, in_thread
from ..engine.loop import is_in_loop
from ..engine.scope import Scope, current, scope_for
from ..problem import AsyncInSync, InvalidDefinition
from ..remote.declared import declare_task
from ..store.hashes import Hashes
from .async_map import AsyncMap, AsyncPump
from .future import AsyncFuture, Future
from .identity import NO_KEY, CallKey, mapped_path
from .input_hash import hash_input
from .key_counter import KeyCounter
from .map import Map, Pump, Source
from .options import TaskOptions
from .run_task import TaskCall, run_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .given import GivenTaskOptions

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")
Rest = ParamSpec("Rest")

_NEXT = "Call it inside a flow's function; in a unit test call its plain function, task.fn(...)."
_IN_MAP = 2
"""A call of a map counts as open by itself and by its map."""
_IN_FUTURE = 2


class _Bound:
    """The arguments of a call, in the order of the parameters, with defaults. Two ways to pass the same value are equal."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._signature = inspect.signature(fn)
        plain = [
            name
            for name, one in self._signature.parameters.items()
            if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        ]
        # After *args, the place of a value says nothing about its parameter.
        self.names = plain if len(plain) == len(self._signature.parameters) else ()

    def told(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The values that identify a call. @raises TypeError as the function itself would."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        told: list[Any] = []
        has_many = False
        for name, parameter in self._signature.parameters.items():
            value = bound.arguments[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                told.extend(value)
                has_many = True
            elif parameter.kind is parameter.VAR_KEYWORD:
                # After *args, a missing dict would look like the last of them.
                if value or has_many:
                    told.append(value)
            else:
                told.append(value)
        return told


class _TaskBase:
    _io: Any = BLOCKING

    def __init__(self, fn: Callable[..., Any], options: TaskOptions, declared: TaskOptions | None = None) -> None:
        self.fn = fn
        self.options = options
        self.declared = declared or options
        if options.runs_in != "thread":
            from ..process.place import check_is_findable

            check_is_findable(options.name, fn)
        self._bound = _Bound(fn)
        functools.update_wrapper(self, fn)  # type: ignore[arg-type]

    @property
    def _what(self) -> str:
        return f'Task "{self.options.name}"'

    def _hash(self, told: list[Any], hashes: Hashes) -> str:
        next = f"Pass plain data, or give the call a key: {self._called}.with_options(key=...)(...)."
        return hash_input(self._what, told, hashes, next, self._bound.names)

    @property
    def _called(self) -> str:
        """The task as the author writes it."""
        name = getattr(self.fn, "__name__", "")
        return name if name.isidentifier() else "task"

    def _scope(self) -> Scope:
        scope = scope_for(self._what, _NEXT)
        scope.cancel.raise_if_asked()
        return scope

    def _key_of(self, told: list[Any], hashes: Hashes) -> CallKey:
        if self.options.key is not None:
            return CallKey("given", self.options.key)
        return NO_KEY if not told else CallKey("hash", self._hash(told, hashes))

    def _begin(
        self, scope: Scope, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[TaskCall, Callable[[], None]]:
        """Names a call in the branch of its caller."""
        called_at = instant(scope.run.host.clock)
        told = self._bound.told(args, kwargs)
        hashes = scope.run.host.store.hashes
        key = self._key_of(told, hashes)
        path, settled = scope.calls.name(self.options.name, key)

        def input_hash() -> str:
            return key.text if key.kind == "hash" else self._hash(told, hashes)

        call = TaskCall(
            options=self.options,
            path=path,
            scope=scope,
            fn=functools.partial(self.fn, *args, **kwargs),
            told=lambda: told,
            source=self.fn,
            input_hash=input_hash,
            io=self._io,
            called_at=called_at,
            declared=self.declared,
            upstream=scope.run.lineage.of((*args, *kwargs.values())),
        )
        return call, settled

    def _source(
        self, scope: Scope, items: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Source, Callable[[], None]]:
        """The items of a map with their paths, and a function that marks the map as ended."""
        key = self.options.map_key
        # Two ways to pass the same value are equal here too. None stands for the item.
        more = tuple(self._bound.told((None, *args), kwargs)[1:])
        if isinstance(items, (set, frozenset)) and key is None:
            raise InvalidDefinition(
                f"{self._what}: a set has no order; pass sorted(items), or name each item with the option map_key."
            )
        hashes = scope.run.host.store.hashes
        path, settled = scope.calls.name(self.options.name, self._key_of_map(items, more, hashes))
        is_hashed = self.options.key is None and key is None and _is_collection(items)
        seen = KeyCounter()
        lineage = scope.run.lineage
        items_from, more_from = lineage.of_collection(items), lineage.of((*args, *kwargs.values()))

        def named(index: int, item: Any) -> str:
            if key is None:
                return mapped_path(path, index=index, key=None, ordinal=1, hashes=hashes)
            own = key(item)
            if not isinstance(own, str):
                raise InvalidDefinition(
                    f"{self._what}: map_key returned {own!r} for item {index}; it must return text."
                )
            return mapped_path(path, index=index, key=own, ordinal=seen.count(own), hashes=hashes)

        def input_hash(item: Any) -> str:
            return hash_input(self._what, [item, hash_input(self._what, more, hashes)] if more else [item], hashes)

        def one(item: Any, item_path: str) -> Any:
            called_at = instant(scope.run.host.clock)
            call = TaskCall(
                options=self.options,
                path=item_path,
                scope=scope,
                fn=functools.partial(self.fn, item, *args, **kwargs),
                told=lambda: self._bound.told((item, *args), kwargs),
                source=self.fn,
                # The hash of all items identifies each of them.
                input_hash=None if is_hashed else lambda: input_hash(item),
                io=self._io,
                called_at=called_at,
                declared=self.declared,
                holds=_IN_MAP,
                upstream=(*lineage.of_item(item, items_from), *more_from),
                map=path,
            )
            return _tracked(call) if self._io is LOOP else finish(_tracked(call))

        return Source(items, path, named, one), settled

    def _key_of_map(self, items: Any, more: tuple[Any, ...], hashes: Hashes) -> CallKey:
        """The identity of a map call. The items of an iterator are not known yet, so it has only its ordinal."""
        if self.options.key is not None:
            return CallKey("given", self.options.key)
        if not _is_collection(items):
            return NO_KEY
        key = self.options.map_key
        told = list(items) if key is None else [key(item) for item in items]
        if isinstance(items, (set, frozenset)):
            told.sort()
        next = f"Pass plain data, or name each item: {self._called}.with_options(map_key=lambda item: ...).map(items)."
        names = ("items", *self._bound.names[1:])
        return CallKey("hash", hash_input(self._what, [{"map": told}, *more], hashes, next, names))


def _is_collection(items: Any) -> bool:
    """Whether the items can be read twice: for their identity and for their calls."""
    return isinstance(items, (list, tuple, set, frozenset, range, dict))


async def _tracked(call: TaskCall) -> Any:
    """A call that the run waits for before it ends."""
    with call.scope.run.open:
        return await run_task(call)


class Task(_TaskBase, Generic[P, R]):
    """A task whose function is a plain `def`. A call runs here and now, and returns its value."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return in_engine_code(self._call, args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        call, settled = self._begin(self._scope(), args, kwargs)
        try:
            result: R = finish(_tracked(call))
            return result
        finally:
            settled()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Starts the call in a thread of its own."""
        return in_engine_code(self._submit, args, kwargs)

    def _submit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[R]:
        scope = self._scope()
        call, settled = self._begin(scope, args, kwargs)
        open_ = scope.run.open
        open_.__enter__()

        def work() -> R:
            try:
                result: R = finish(run_task(call))
                return result
            finally:
                settled()
                open_.__exit__()

        return Future(scope.run.pool, work)

    def map(
        self: Task[Concatenate[Item, Rest], R], items: Iterable[Item], /, *args: Rest.args, **kwargs: Rest.kwargs
    ) -> Map[R]:
        """Calls the task once for each item, in threads: `concurrency` of them at a time.

        Args:
            items: the first argument of each call. A list or another collection identifies its calls by content.
            args, kwargs: further arguments, the same for every call.
        """
        return in_engine_code(self._map, items, args, kwargs)

    def _map(self, items: Iterable[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Map[R]:
        scope = self._scope()
        source, settled = self._source(scope, items, args, kwargs)
        run = scope.run
        if not isinstance(self.options.runs_in, str):
            # Its threads only wait for the cluster.
            run.pool.allow(self.options.concurrency)
        pump = Pump(source, pool=run.pool, open_=run.open, cancel=scope.cancel, concurrency=self.options.concurrency)
        return Map(self.options.name, scope.run, pump, settled)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Starts the call in a thread, and returns a coroutine that waits for it: `await load.aio(path)`."""
        # Named here and not at the first await, so that the order of calls in the code counts.
        return in_thread(self.submit(*args, **kwargs).result)

    def with_options(self, **overrides: Unpack[GivenTaskOptions]) -> Task[P, R]:
        """The same task with other options. @raises InvalidDefinition"""
        return Task(self.fn, self.options.changed(**overrides), self.declared)


class AsyncTask(_TaskBase, Generic[P, R]):
    """A task whose function is an `async def`. Await its calls."""

    _io = LOOP

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        # Named here and not at the first await, so that the order of calls in the code counts.
        call, settled = self._begin(self._async_scope(), args, kwargs)
        awaited: Any = self._awaited(call, settled)
        # Python's warning about a coroutine that nobody awaits has this name.
        awaited.__qualname__ = f"task {self.options.name}"
        found: Coroutine[Any, Any, R] = awaited
        return found

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> AsyncFuture[R]:
        """Starts the call beside the calling code. Await what it returns for the result."""
        scope = self._async_scope()
        call, settled = self._begin(scope, args, kwargs)
        call = replace(call, holds=_IN_FUTURE)
        return AsyncFuture(self._awaited(call, settled), scope.run.open, settled)

    def map(
        self: AsyncTask[Concatenate[Item, Rest], R],
        items: Iterable[Item] | AsyncIterable[Item],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> AsyncMap[R]:
        """Calls the task once for each item in the event loop: `concurrency` of them at a time.

        Args:
            items: the first argument of each call. A list or another collection identifies its calls by content.
            args, kwargs: further arguments, the same for every call.
        """
        scope = self._async_scope()
        source, settled = self._source(scope, items, args, kwargs)
        run = scope.run
        pump = AsyncPump(source, open_=run.open, cancel=scope.cancel, concurrency=self.options.concurrency)
        return AsyncMap(self.options.name, run, pump, settled)

    def _async_scope(self) -> Scope:
        scope = self._scope()
        if not scope.is_async or not is_in_loop():
            raise AsyncInSync(self._what, scope.run.flow)
        return scope

    async def _awaited(self, call: TaskCall, settled: Callable[[], None]) -> R:
        try:
            result: R = await _tracked(call)
            return result
        finally:
            settled()

    def with_options(self, **overrides: Unpack[GivenTaskOptions]) -> AsyncTask[P, R]:
        """The same task with other options. @raises InvalidDefinition"""
        return AsyncTask(self.fn, self.options.changed(**overrides), self.declared)


class _Decorator:
    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]]) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, fn: Callable[P, R]) -> Task[P, R]: ...

    def __call__(self, fn: Callable[..., Any]) -> Any:
        return _task_of(fn, self._options)


def _task_of(fn: Callable[..., Any], options: dict[str, Any]) -> Any:
    if not callable(fn):
        raise InvalidDefinition("task takes a function: @task or @task(retries=3).")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidDefinition(
            f"{fn.__qualname__} is a generator, so its body would run outside of the task. Return a list."
        )
    name = options.pop("name", None) or fn.__name__
    base = TaskOptions(name=name).changed(**options)
    made: Any = (AsyncTask if inspect.iscoroutinefunction(fn) else Task)(fn, base)
    # A task that is made while a flow runs does not exist when the module is only loaded.
    if current.get() is None:
        declare_task(made)
    return made


@overload
def task(fn: Callable[P, Awaitable[R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(**options: Unpack[GivenTaskOptions]) -> _Decorator: ...


def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declares a task.

    A call is identified by its parent's path, the task's name, and its `key` or else the hash of its arguments.

    Raises:
        InvalidDefinition: names the invalid option.

    Example:
        @task(retries=3, timeout="30s")
        def load(path: str) -> list[str]: ...
    """
    return _Decorator(options) if fn is None else _task_of(fn, options)
