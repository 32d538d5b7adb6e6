"""Task calls that run in other pools: each as a run of its own. Arguments and result travel through the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..cache.task_cache import TaskCache
from ..checkpoint.checkpoints import Facts
from ..clock import instant
from ..engine.describe_error import STACK, caused_by, raised_again
from ..problem import ChildFailed, NotRemote, NotSerialisable, StoreFault
from ..store.codec import Ref, encode
from ..task.identity import CallKey, kept_path
from ..task.run_task import TaskCall, _post_end, _report_end, find_earlier

_OWN_SIDE = ("name", "pool", "on_parent_end", "key", "checkpoint", "durable", "concurrency", "map_key", "runs_in")
"""Options for the calling side only."""
_FINAL = ("completed", "failed", "cancelled")
_STORE_NEXT = "`towpath doctor` shows whether the workers of both pools use the same store."


def check_arguments(call: TaskCall) -> None:
    """Also in this process, as in a test, arguments must be data, as the pool requires. @raises NotSerialisable"""
    encode(_arguments(call), "arguments")


async def run_elsewhere(call: TaskCall) -> Any:
    """Runs a task call in another pool. Meanwhile the flow needs no process for this call.

    Raises:
        Exception: the task's error by class and message, with a ChildFailed as its cause. Only the ChildFailed, if the
            task's process was lost or its run was cancelled.
    """
    facts, cache, earlier = await find_earlier(call)
    if earlier is not None:
        return earlier[0]
    ended: Mapping[str, Any] | None = None
    try:
        started = await call.io.blocking(lambda: _start_child(call))
        ended = started if started["state"] in _FINAL else await _until_ended(call, str(started["runId"]))
        return await _completed(call, ended, facts, cache)
    except BaseException as error:
        hook_ran = ended is not None and ended["state"] == "failed" and ended.get("error") is not None
        await _report_end(call, 1, facts, error, hook_ran=hook_ran)
        raise


def _arguments(call: TaskCall) -> dict[str, Any]:
    return {"args": list(call.fn.args), "kwargs": dict(call.fn.keywords)}


def _overrides(call: TaskCall) -> dict[str, Any]:
    """The options that a call overrides, for the other side. @raises NotRemote for options that are not data"""
    declared = call.options if call.declared is None else call.declared
    found: dict[str, Any] = {}
    for field in fields(declared):
        value = getattr(call.options, field.name)
        if field.name in _OWN_SIDE or value == getattr(declared, field.name):
            continue
        try:
            if field.name == "compute":
                raise NotSerialisable("compute", "part of the signed code")
            encode(value, field.name)
        except NotSerialisable:
            raise NotRemote(
                call.options.name, f"with_options() sets {field.name}.", "Set it where the task is declared."
            ) from None
        found[field.name] = value
    return found


def _input(call: TaskCall) -> Ref:
    """The arguments in the store. A later attempt finds those of the first."""
    host, checkpoints = call.scope.run.host, call.scope.run.checkpoints
    path = kept_path(call.path, "input", host.store.hashes)
    known = checkpoints.earlier.value_at(path)
    if known is not None:
        return known
    ref = checkpoints.keep_value({**_arguments(call), "overrides": _overrides(call)}, path=call.path, name="input")
    host.records.post({"type": "kept", "at": instant(host.clock), "path": path, "result": ref})
    return ref


def _start_child(call: TaskCall) -> Mapping[str, Any]:
    """Starts the task's run, or finds the run that an earlier attempt started."""
    options, host = call.options, call.scope.run.host
    host.records.post({**call.first_record("queue"), "at": call.called_at})
    name = options.name if call.declared is None else call.declared.name
    task = {"name": name, "input": _input(call), "retries": options.retries}
    pool = str(options.pool) if host.pool_of is None else host.pool_of(str(options.pool))
    asked = {"kind": "start-task", "pool": pool, "task": task, "onParentEnd": options.on_parent_end}
    started = host.call(call.path, asked)
    host.records.post(call.record("begin", 1))
    return started


async def _until_ended(call: TaskCall, run_id: str) -> Mapping[str, Any]:
    run, cancel = call.scope.run, call.scope.cancel
    path, settled = call.scope.calls.name("run", CallKey("given", run_id), "wait")
    wait = {"kind": "run", "runId": run_id}

    def until() -> Mapping[str, Any]:
        # The call is not open meanwhile, so that the run can be suspended.
        with run.open.left(call.holds):
            return run.waits.until(path, wait, cancel)

    try:
        answer = await call.io.blocking(until)
    finally:
        settled()
    ended: Mapping[str, Any] = answer["run"]
    return ended


async def _completed(call: TaskCall, ended: Mapping[str, Any], facts: Facts | None, cache: TaskCache | None) -> Any:
    if ended["state"] != "completed":
        raise _failure(call, ended)
    ref = ended.get("result")
    value = None if ref is None else await call.io.blocking(lambda: _load(call, ref))
    reported = {} if facts is None else facts.reported()
    kept = {} if ref is None or facts is None else {"result": ref}
    if cache is not None:
        # Found as the cached result of equal calls, also of those in this process.
        cache.keep(value)
    await _post_end(call, call.record("complete", 1, **reported, **kept))
    return value


def _load(call: TaskCall, ref: Ref) -> Any:
    try:
        return call.scope.run.checkpoints.load(ref, call.source)
    except StoreFault as cause:
        raise StoreFault(
            f'The result of task "{call.options.name}" from the pool "{call.options.pool}" cannot be loaded: {cause}',
            next=_STORE_NEXT,
        ) from cause


def _failure(call: TaskCall, ended: Mapping[str, Any]) -> BaseException:
    """The task's error, with the failed run as its cause; or only that, if the task reported no error."""
    what = f'task "{call.options.name}" in pool "{call.options.pool}"'
    failed = ChildFailed(what=what, run_id=ended["runId"], state=ended["state"], cause=ended.get("cause"))
    described = ended.get("error")
    if described is None:
        return failed
    error = raised_again(described)
    error.__cause__ = failed
    stack = described.get("stack")
    if isinstance(stack, str) and stack:
        # The line that failed is in the other process.
        setattr(error, STACK, caused_by(failed, stack))
    return error
