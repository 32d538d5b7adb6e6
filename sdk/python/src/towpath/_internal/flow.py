"""Flows: functions with tracked runs and typed parameters."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from .clock import instant
from .engine.forks import refuse_if_forked
from .engine.interrupt import in_engine_code
from .engine.io import BLOCKING, LOOP, finish
from .engine.loop import is_in_loop
from .engine.scope import Scope, current
from .input.signature import FlowInput
from .problem import AsyncInSync, InvalidDefinition, LoopRunning
from .process import refuse_in_child
from .task.identity import NO_KEY, CallKey
from .task.input_hash import hash_input
from .task.options import TaskOptions
from .task.run_task import TaskCall, run_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .given import GivenFlowOptions

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_NAME_CHARS_MAX = 200
_HOOKS = {"completed": "on_completion", "failed": "on_failure", "cancelled": "on_cancellation", "crashed": "on_crash"}
_OPTIONS = ("run_name", "due_input", "checkpoint", "compute", *_HOOKS.values())


class Flow(Generic[P, R]):
    """A flow. Call it in another flow to run it as a part of that run; elsewhere to run it in this process."""

    def __init__(self, fn: Callable[..., Any], name: str, options: Mapping[str, Any]) -> None:
        self.fn = fn
        self.source = fn
        """The function whose return annotation says which classes the result has."""
        self.name = name
        self.is_async = inspect.iscoroutinefunction(fn)
        self.input = FlowInput(name, fn)
        self.checkpoint: bool | None = options.get("checkpoint")
        self.due_input: Callable[..., Any] | None = options.get("due_input")
        self.compute: Mapping[str, Any] | None = options.get("compute")
        self._run_name = options.get("run_name")
        self._hooks = {outcome: options.get(hook) for outcome, hook in _HOOKS.items()}
        functools.update_wrapper(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        bound = inspect.signature(self.fn).bind(*args, **kwargs)
        scope = current.get()
        if scope is None:
            from .engine.run_here import run_here

            refuse_in_child(self.name)
            if self.is_async and is_in_loop():
                raise LoopRunning(self.name)
            result: R = run_here(self, dict(bound.arguments))
            return result
        part: R = in_engine_code(self._part, scope, bound)
        return part

    def run_main(self) -> None:
        """Runs the flow as a program: with the parameters of the command line, or as an attempt of a worker.

        Example:
            if __name__ == "__main__":
                train.run_main()
        """
        from .engine.run_main import run_main

        run_main(self)

    def name_of(self, arguments: Mapping[str, Any]) -> str | None:
        """The name of a run, by its `run_name`: a format text or a function of the parameters."""
        if self._run_name is None:
            return None
        named = self._run_name.format(**arguments) if isinstance(self._run_name, str) else self._run_name(**arguments)
        line = _CONTROLS.sub(" ", str(named)).encode("utf-8", "replace").decode().strip()
        return line.encode("utf-16-le")[: 2 * _NAME_CHARS_MAX].decode("utf-16-le", "ignore") or None

    def hook_of(self, outcome: str) -> Callable[[Any], Any] | None:
        """The hook for an outcome."""
        return self._hooks.get(outcome)

    def _part(self, scope: Scope, bound: inspect.BoundArguments) -> Any:
        """A call of this flow in another one. Its tasks have paths of their own below it."""
        refuse_if_forked(scope.run.pid, f'Flow "{self.name}"')
        scope.cancel.raise_if_asked()
        if self.is_async and not scope.is_async:
            raise AsyncInSync(f'Flow "{self.name}"', scope.run.flow)
        bound.apply_defaults()
        told = dict(bound.arguments)
        hashes = scope.run.host.store.hashes
        key = CallKey("hash", hash_input(f'Flow "{self.name}"', [told], hashes)) if told else NO_KEY
        path, settled = scope.calls.name(self.name, key, "flow")

        call = TaskCall(
            options=TaskOptions(name=self.name, checkpoint=False),
            path=path,
            scope=scope,
            fn=functools.partial(self.fn, **bound.arguments),
            told=list,
            source=self.fn,
            input_hash=None,
            io=LOOP if self.is_async else BLOCKING,
            called_at=instant(scope.run.host.clock),
            upstream=scope.run.lineage.of(told.values()),
        )
        if self.is_async:
            return self._awaited(call, settled)
        try:
            # The run waits for it, and is not suspended while it works.
            with scope.run.open:
                return finish(run_task(call))
        finally:
            settled()

    async def _awaited(self, call: TaskCall, settled: Callable[[], None]) -> Any:
        try:
            with call.scope.run.open:
                return await run_task(call)
        finally:
            settled()


def _flow_of(fn: Callable[..., Any], options: dict[str, Any]) -> Flow[Any, Any]:
    name = options.pop("name", None) or fn.__name__.replace("_", "-").strip("-").lower()
    if not _NAME.match(name):
        raise InvalidDefinition(
            f'flow name "{name}": use lower-case letters, digits, - and _, at most 63, starting with a letter or digit.'
        )
    for option in options:
        if option not in _OPTIONS:
            raise InvalidDefinition(
                f'flow "{name}" has no option {option}. The options are: name, {", ".join(_OPTIONS)}.'
            )
    if not isinstance(options.get("run_name"), (str, type(None))) and not callable(options["run_name"]):
        raise InvalidDefinition(f'flow "{name}": run_name must be a text or a function.')
    if not isinstance(options.get("compute"), (Mapping, type(None))):
        raise InvalidDefinition(f'flow "{name}": compute must be a dict such as {{"cpu": 2, "memory": "4 GiB"}}.')
    for option in ("due_input", *_HOOKS.values()):
        if options.get(option) is not None and not callable(options[option]):
            raise InvalidDefinition(f'flow "{name}": {option} must be a function.')
    return Flow(fn, name, options)


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...


@overload
def flow(**options: Unpack[GivenFlowOptions]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


def flow(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declares a flow. Its parameters are those of the function's signature, by name.

    Args:
        name: 1 to 63 of a-z, 0-9, - and _. Default: the function's name, with - for _.
        run_name: names each run: a format text such as "train {path}", or a function of the parameters.
        due_input: makes the parameters of a scheduled run on the worker, so that they never leave your network. It gets the
            Due and the schedule's own parameters.
        checkpoint: whether its tasks store their results. Default: where a later attempt can find them.
        compute: what each run needs from its worker: {"cpu": 2, "memory": "4 GiB", "gpu": {"count": 1, "kind": "a100"}}. It
            is signed when the flow is deployed. Default: only a slot.
        on_completion, on_failure, on_cancellation: called with the result or the error before the run ends. A suspended
            run has no process: if it is cancelled, on_cancellation is called in an attempt of its own; if it expires, none is.
        on_crash: called with a ProcessEnded, in a process of its own, when the flow's process has ended without an outcome.

    Raises:
        InvalidDefinition: names the invalid option.

    Example:
        @flow
        def train(path: str, depths: list[int] = [2, 4, 8]) -> float: ...
    """
    if fn is None:
        return lambda made: _flow_of(made, options)
    return _flow_of(fn, options)
