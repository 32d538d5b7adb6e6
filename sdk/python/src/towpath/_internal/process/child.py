"""The process of tasks: runs one call after another for the process of a flow, and ends with it."""

from __future__ import annotations

import contextvars
import faulthandler
import functools
import inspect
import os
import pickle
import queue
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NoReturn

from ..checkpoint.checkpoints import Checkpoints
from ..clock import SYSTEM_CLOCK
from ..engine import interrupt
from ..engine.cancel import Cancel
from ..engine.failures import Failures
from ..engine.host import Host, Resume
from ..engine.interrupt import in_author_code
from ..engine.io import LOOP, Limit
from ..engine.loop import run_loop
from ..engine.scope import ActiveRun, OpenCalls, Scope, current
from ..logs.capture import capture
from ..logs.log import PROCESS
from ..problem import NotInProcess, NotPicklable
from ..store.hashes import Hashes
from ..task.identity import CallKey, CallLedger, NamedCall
from . import HERE
from .children import ChildCall
from .place import function_at
from .wire import Wire, packed_error, unpacked_error


class _Parent:
    """The process of the flow."""

    def __init__(self, fd: int) -> None:
        # A program that a task starts must not keep the pipe open.
        os.set_inheritable(fd, False)
        self._wire = Wire(socket.socket(fileno=fd))
        self._numbers = count(1)
        self._answers: dict[int, queue.SimpleQueue[tuple[bool, Any]]] = {}
        self.calls: queue.SimpleQueue[tuple[ChildCall, bytes] | None] = queue.SimpleQueue()
        self.cancel = Cancel()
        threading.Thread(target=self._read, name="towpath-parent", daemon=True).start()

    def tell(self, name: str, *args: Any) -> None:
        """Has something done, in order, without an answer."""
        self._send("ask", None, name, args)

    def ask(self, name: str, *args: Any) -> Any:
        """Has something done, and returns the answer. @raises what it raised"""
        number = next(self._numbers)
        answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._answers[number] = answers
        self._send("ask", number, name, args)
        is_value, answer = answers.get()
        if not is_value:
            raise unpacked_error(answer)
        return answer

    def done(self, is_value: bool, packed: Any) -> None:
        """Ends the call."""
        self._send("done", is_value, packed)

    def _send(self, *message: Any) -> None:
        try:
            self._wire.send(*message)
        except OSError:
            _end_all()

    def _read(self) -> None:
        for kind, *more in self._wire.messages(lambda: True):
            if kind == "call":
                # Here, so that a request to stop that follows it stops this call.
                self.cancel = Cancel()
                self.calls.put((more[0], more[1]))
            elif kind == "answer":
                number, is_value, answer = more
                self._answers.pop(number).put((is_value, answer))
            elif kind == "stop":
                self.cancel.abort(unpacked_error(more[0]))
            else:
                self.calls.put(None)
        _end_all()


def _end_all() -> NoReturn:
    """Ends this process and all that it has started: the flow's process is gone."""
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


class _Records:
    """The run's records, through the flow's process."""

    def __init__(self, parent: _Parent) -> None:
        self._parent = parent
        self._pid = os.getpid()

    def post(self, record: Mapping[str, Any]) -> None:
        if os.getpid() == self._pid:
            self._parent.tell("post", dict(record))

    def post_held(self, record: Mapping[str, Any]) -> object:
        return self._parent.ask("post_held", dict(record))

    def post_stored(self, record: Mapping[str, Any]) -> None:
        self._parent.ask("post_stored", dict(record))

    def when_held(self, record: Mapping[str, Any], then: Callable[[BaseException | None], None]) -> None:
        raise NotInProcess("A task or flow")


class _Store:
    """The run's store, through the flow's process."""

    def __init__(self, parent: _Parent, hashes: Hashes) -> None:
        self.hashes = hashes
        self.save = functools.partial(parent.ask, "save")
        self.sync = functools.partial(parent.ask, "sync")
        self.load = functools.partial(parent.ask, "load")


class _Earlier:
    """The progress that earlier tries and attempts have stored."""

    def __init__(self, parent: _Parent) -> None:
        self.instant_at = functools.partial(parent.ask, "instant_at")
        self.value_at = functools.partial(parent.ask, "value_at")
        self.note_value = functools.partial(parent.ask, "note_value")


class _Fakes(dict[str, Any]):
    """A test's values of resources."""

    def __init__(self, parent: _Parent) -> None:
        super().__init__()
        self._ask = parent.ask

    def __contains__(self, name: object) -> bool:
        return bool(self._ask("has_fake", name))

    def __missing__(self, name: str) -> Any:
        return self._ask("fake", name)


class _Calls(CallLedger):
    """Names what a task's function asks for. The flow's process knows what earlier tries have asked for."""

    def __init__(self, parent: _Parent, path: str) -> None:
        super().__init__(path)
        self._ask = parent.ask

    def name(self, name: str, key: CallKey, kind: str = "task") -> NamedCall:
        if kind != "value":
            raise NotInProcess({"task": "Task", "flow": "Flow"}.get(kind, "") + f' "{name}"')
        return NamedCall(self._ask("path_of", name, key), lambda: None)


def _no_call(path: str, call: Mapping[str, Any]) -> Mapping[str, Any]:
    raise NotInProcess("A call to the control plane")


def _scope_of(call: ChildCall, parent: _Parent, is_async: bool) -> Scope:
    host = Host(
        facts=call.facts,
        parameters=None,
        records=_Records(parent),
        store=_Store(parent, call.hashes),  # type: ignore[arg-type]
        resume=Resume(origin=call.origin),
        clock=SYSTEM_CLOCK,
        random=random.random,
        secret=functools.partial(parent.ask, "secret"),
        call=_no_call,
        waits=None,  # type: ignore[arg-type]
        cancel=parent.cancel,
        end_process=lambda: None,
        settings_of=functools.partial(parent.ask, "settings_of"),
        fakes=_Fakes(parent),
    )
    checkpoints = Checkpoints(host, False)
    checkpoints.earlier = _Earlier(parent)  # type: ignore[assignment]
    run = ActiveRun(
        flow=call.flow,
        host=host,
        checkpoints=checkpoints,
        cancel=parent.cancel,
        failures=Failures(),
        waits=None,  # type: ignore[arg-type]
        pool=None,  # type: ignore[arg-type]
        open=OpenCalls(),
    )
    return Scope(run, call.path, parent.cancel, _Calls(parent, call.path), is_async)


def _run(call: ChildCall, arguments: bytes, parent: _Parent) -> bytes:
    """Runs one call. Returns its result, pickled."""
    if call.captures and PROCESS.records is None:
        capture(_Records(parent))
    # The arguments may be instances of classes of the function's module, which is imported first.
    found = function_at(call.place)
    args, kwargs = pickle.loads(arguments)
    scope = _scope_of(call, parent, inspect.iscoroutinefunction(found))
    context = contextvars.copy_context()
    context.run(current.set, scope)
    try:
        return _packed(call, _called(functools.partial(found, *args, **kwargs), call, context, scope))
    finally:
        PROCESS.end_lines()
        scope.run.has_ended = True


def _called(fn: functools.partial[Any], call: ChildCall, context: contextvars.Context, scope: Scope) -> Any:
    run = scope.run

    async def awaited() -> Any:
        try:
            return await LOOP.invoke(fn, scope.cancel, Limit(call.grace_ms, lambda: None))
        finally:
            await run.opened.close_in_loop(run.warn, everything=True)

    if scope.is_async:
        return context.run(run_loop, awaited())
    try:
        return in_author_code(scope.cancel, lambda: context.run(fn), call.grace_ms)
    finally:
        context.run(run.opened.close, run.warn)


def main(fd: int) -> NoReturn:
    """Runs calls until the process of the flow says that there are no more."""
    HERE.is_child = True
    del sys.argv[1:]
    faulthandler.enable()
    interrupt.install()
    parent = _Parent(fd)
    while (told := parent.calls.get()) is not None:
        packed: Any
        try:
            packed, is_value = _run(*told, parent), True
        except BaseException as error:
            packed, is_value = packed_error(error), False
        parent.done(is_value, packed)
    sys.exit(0)


def _packed(call: ChildCall, value: Any) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        text = f"the result cannot be sent to the flow's process: {error}."
        raise NotPicklable(call.task, text, "Return plain data.") from error
