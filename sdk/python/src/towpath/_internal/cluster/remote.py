"""Runs one call of a task on a machine of a cluster. Only names, versions and pickled arguments come here."""

from __future__ import annotations

import contextvars
import functools
import inspect
import logging
import pickle
import random
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from ..checkpoint.checkpoints import Checkpoints
from ..clock import SYSTEM_CLOCK
from ..engine.cancel import Cancel
from ..engine.failures import Failures
from ..engine.host import Facts, Host, Resume
from ..engine.scope import ActiveRun, OpenCalls, Scope, current
from ..logs.capture import Lines
from ..logs.log import write
from ..problem import NotPicklable
from ..process.place import Place, function_at
from ..process.wire import packed_error
from ..task.identity import CallKey, CallLedger, NamedCall
from .errors import ClusterDiffers, NotOnCluster
from .versions import Versions, difference, versions_of

_RECORDS_MAX = 10_000
"""Lines and artifacts of one call. They travel with its result."""


@dataclass(frozen=True)
class RemoteCall:
    """One call, as a machine of the cluster gets it."""

    task: str
    path: str
    place: Place
    versions: Versions
    tops: frozenset[str]
    facts: Facts
    flow: str


class Remote(NamedTuple):
    """How a call ended: a pickled result, or a packed error."""

    is_value: bool
    packed: Any
    records: list[Mapping[str, Any]]
    """Its log lines and artifacts."""


class _Records:
    """Keeps records until the call ends."""

    def __init__(self) -> None:
        self.all: list[Mapping[str, Any]] = []

    def post(self, record: Mapping[str, Any]) -> None:
        if len(self.all) < _RECORDS_MAX:
            self.all.append(record)

    def post_held(self, record: Mapping[str, Any]) -> NoReturn:
        raise NotOnCluster("keep()")


class _Nothing:
    """The run's store and earlier results, which are not here."""

    def __getattr__(self, name: str) -> Any:
        raise NotOnCluster("keep() or kept()")


class _Calls(CallLedger):
    def name(self, name: str, key: CallKey, kind: str = "task") -> NamedCall:
        raise NotOnCluster({"task": "Task", "flow": "Flow"}.get(kind, "") + f' "{name}"')


def run_call(call: RemoteCall, arguments: bytes) -> Remote:
    """Runs one call. Never raises: the cluster would wrap the error in one of its own."""
    records = _Records()
    try:
        found = _function(call.place)
        _check(call, found)
        args, kwargs = pickle.loads(arguments)
        value = _called(call, functools.partial(found, *args, **kwargs), records)
        return Remote(True, _pickled(call, value), records.all)
    except BaseException as error:
        return Remote(False, packed_error(error), records.all)


def _function(place: Place) -> Callable[..., Any]:
    try:
        return function_at(place)
    except ModuleNotFoundError as error:
        raise ClusterDiffers(
            f'A machine of the cluster cannot import "{error.name}" for {place.module}.{place.name}.',
            next="Install the project and its packages there, or add its folder to PYTHONPATH of the cluster's workers.",
        ) from None


def _check(call: RemoteCall, found: Callable[..., Any]) -> None:
    told = difference(call.versions, _versions(call.place, found, call.tops))
    if told is not None:
        raise ClusterDiffers(
            f'Task "{call.task}" cannot run on this cluster: {told}.',
            next="Install the same there, and restart the cluster's workers.",
        )


_known: dict[tuple[Place, frozenset[str]], Versions] = {}
_knowing = threading.Lock()


def _versions(place: Place, found: Callable[..., Any], tops: frozenset[str]) -> Versions:
    """Those of the first use: a module that is loaded does not change with its file."""
    with _knowing:
        if (place, tops) not in _known:
            _known[place, tops] = versions_of(found, tops)[0]
        return _known[place, tops]


def _called(call: RemoteCall, fn: functools.partial[Any], records: _Records) -> Any:
    _capture()
    scope = _scope_of(call, records, inspect.iscoroutinefunction(fn.func))
    context = contextvars.copy_context()
    context.run(current.set, scope)
    lines = Lines("info", None)
    context.run(_lines.set, lines)
    try:
        return context.run(_awaited if scope.is_async else _plain, fn)
    finally:
        lines.put_rest()
        scope.run.has_ended = True


def _plain(fn: Callable[[], Any]) -> Any:
    return fn()


def _awaited(fn: Callable[[], Any]) -> Any:
    import asyncio

    return asyncio.run(fn())


def _pickled(call: RemoteCall, value: Any) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        text = f"the result cannot be sent to the flow's process: {error}."
        raise NotPicklable(call.task, text, "Return plain data.") from error


def _refused(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any) -> NoReturn:
        raise NotOnCluster(what)

    return refuse


def _scope_of(call: RemoteCall, records: Any, is_async: bool) -> Scope:
    nothing: Any = _Nothing()
    host = Host(
        facts=call.facts,
        parameters=None,
        records=records,
        store=nothing,
        resume=Resume(origin=call.facts.run_id),
        clock=SYSTEM_CLOCK,
        random=random.random,
        secret=_refused("secret()"),
        call=_refused("A call to the control plane"),
        waits=nothing,
        cancel=Cancel(),
        end_process=lambda: None,
    )
    checkpoints = Checkpoints(host, False)
    checkpoints.earlier = nothing
    run = ActiveRun(
        flow=call.flow,
        host=host,
        checkpoints=checkpoints,
        cancel=host.cancel,
        failures=Failures(),
        waits=nothing,
        pool=nothing,
        open=OpenCalls(),
    )
    return Scope(run, call.path, host.cancel, _Calls(call.path), is_async)


_lines: contextvars.ContextVar[Lines | None] = contextvars.ContextVar("towpath_cluster_lines", default=None)
_capturing = threading.Lock()
_captured: list[Any] = []


class _Printed:
    """A standard stream: text of a call becomes lines of its log, and all other text goes where it went before."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind

    def write(self, text: str) -> int:
        lines = _lines.get()
        (self._behind if lines is None else lines).write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if _lines.get() is not None:
            levels = ((40, "error"), (30, "warn"), (20, "info"), (0, "debug"))
            write(next(name for number, name in levels if record.levelno >= number), self.format(record))


def _capture() -> None:
    """Once in a process of the cluster, which others use too: so nothing of theirs changes."""
    with _capturing:
        if not _captured:
            sys.stdout, sys.stderr = _Printed(sys.stdout), _Printed(sys.stderr)
            handler = _Handler()
            handler.setFormatter(logging.Formatter("%(message)s"))
            logging.getLogger().addHandler(handler)
            _captured.append(handler)
