"""Runs a flow once: reads its parameters, calls its function, waits for all its calls, stores its result and reports the
outcome."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..checkpoint.checkpoints import Checkpoints
from ..clock import instant
from ..logs.capture import capture
from ..logs.log import PROCESS
from ..problem import Cancelled, ChildFailed, NotSerialisable, ProcessEnded, Stopped, TaskTimeout
from ..store.codec import Ref
from ..suspend.waits import Waits
from ..task.identity import CallLedger
from ..task.pool import Pool
from .cancel import Cancel
from .describe_error import describe_error, stack_of
from .failures import Failures, every_error
from .hooks import HOOK_MS, STOPPED_HOOK_MS, call_hook
from .host import Host
from .interrupt import in_author_code
from .io import LOOP, Limit, in_thread
from .loop import run_loop
from .scope import ActiveRun, OpenCalls, Scope, current

if TYPE_CHECKING:
    from ..flow import Flow

_SETTLE_S = 4.0
"""How long calls may end after the run was asked to stop."""
_WAITS_MAX = 1000
_WAITS_CHARS_MAX = 131_072


@dataclass(frozen=True)
class RunEnd:
    """How a run ended. `error` is what was raised, unchanged."""

    outcome: str
    """`completed`, `failed`, `cancelled` or `suspended`."""
    value: Any = None
    result: Ref | None = None
    error: BaseException | None = None
    failed_by: list[str] | None = None
    waits: tuple[str, ...] = ()


def run_flow(flow: Flow[Any, Any], host: Host) -> RunEnd:
    """Runs a flow in this thread. Returns once the worker holds the outcome.

    A suspended run ends the process. Where the host does not end it, as in a test, this function never returns: call it
    in a thread of its own.
    """
    if host.task is not None:
        from ..remote.assigned import AssignedTask

        flow = cast(Any, AssignedTask(flow.name, host, host.task))
    run = _active_run(flow, host)
    scope = Scope(run, "", run.cancel, CallLedger("", run.host.store.hashes), flow.is_async)
    run.waits.suspend = lambda paths: _suspend(run, paths)
    context = contextvars.copy_context()
    context.run(current.set, scope)
    end = _end_of(flow, run, context)
    context.run(_conclude, flow, run, end)
    host.records.post_held(_outcome(host, end))
    return end


def _active_run(flow: Flow[Any, Any], host: Host) -> ActiveRun:
    open_ = OpenCalls()
    return ActiveRun(
        flow=flow.name,
        host=host,
        checkpoints=Checkpoints(host, flow.checkpoint),
        cancel=Cancel(host.cancel),
        failures=Failures(),
        waits=Waits(host, open_),
        pool=Pool(),
        open=open_,
    )


def _end_of(flow: Flow[Any, Any], run: ActiveRun, context: contextvars.Context) -> RunEnd:
    host = run.host
    try:
        arguments = flow.input.read(_parameters_of(flow, host))
        run.checkpoints.open()
        run.cancel.raise_if_asked()
        value = context.run(_call, flow, run, arguments)
        _settle(run)
        if run.fatal is not None:
            raise run.fatal
        result = None if value is None else _keep(flow, run, value)
        return RunEnd("completed", value=value, result=result)
    except BaseException as raised:
        error = run.fatal or raised
        run.cancel.abort(Cancelled("the flow has failed"))
        _settle(run, is_over=True)
        failed_by = run.failures.paths_of(error)
        for end in run.failures.unrecorded(failed_by):
            host.records.post(end)
        return _end_by(host, error, failed_by)
    finally:
        run.cancel.abort(Cancelled("the flow has ended"))
        _end_runners(run)


def _parameters_of(flow: Flow[Any, Any], host: Host) -> Any:
    """The parameters of the run. A flow may make those of a scheduled run itself."""
    due = host.facts.due
    if due is None or flow.due_input is None:
        return host.parameters
    made = flow.due_input(due, host.parameters)
    if not inspect.iscoroutine(made):
        return made
    from .loop import run_loop

    return run_loop(made)


def _call(flow: Flow[Any, Any], run: ActiveRun, arguments: Mapping[str, Any]) -> Any:
    name = _name_of(flow, run, arguments)
    if name is not None:
        run.host.records.post({"type": "run-name", "at": instant(run.host.clock), "name": name})
    if not flow.is_async:
        with run.open.function():
            return in_author_code(run.cancel, lambda: flow.fn(**arguments))
    return run_loop(_in_loop(flow, run, arguments))


async def _in_loop(flow: Flow[Any, Any], run: ActiveRun, arguments: Mapping[str, Any]) -> Any:
    import asyncio

    run.waits.loop = asyncio.get_running_loop()
    try:
        value = await LOOP.invoke(lambda: flow.fn(**arguments), run.cancel, Limit(0, lambda: None))
        # Calls that the function created as tasks of asyncio begin now.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await in_thread(lambda: _settle(run))
        return value
    except BaseException:
        run.cancel.abort(Cancelled("the flow has failed"))
        await in_thread(lambda: _settle(run, is_over=True))
        raise
    finally:
        await run.opened.close_in_loop(run.warn)
        run.waits.loop = None


def _name_of(flow: Flow[Any, Any], run: ActiveRun, arguments: Mapping[str, Any]) -> str | None:
    try:
        return flow.name_of(arguments)
    except Exception as error:
        run.checkpoints.warn("", f"The run has no name because run_name failed: {describe_error(error)['message']}")
        return None


def _settle(run: ActiveRun, is_over: bool = False) -> None:
    """Waits for calls that the flow's function did not wait for; after a request to stop, for a limited time.

    Raises:
        BaseException: the reason to stop, if calls still run then, unless the run is over.
    """
    open_ = run.open
    forget = run.cancel.listen(lambda _: open_.wake())
    while run.untaken:
        run.untaken.pop().discard()
        with open_.changed:
            open_.changed.wait_for(lambda: open_.is_quiet() or run.cancel.reason is not None)
    with open_.changed:
        open_.changed.wait_for(lambda: open_.is_quiet() or run.cancel.reason is not None)
        open_.changed.wait_for(open_.is_quiet, _SETTLE_S)
    forget()
    if not open_.is_quiet() and not is_over:
        run.cancel.raise_if_asked()


def _end_runners(run: ActiveRun) -> None:
    """Ends the processes of tasks, and the connections to clusters."""
    for runner in list(run.runners.values()):
        runner.close()


def _keep(flow: Flow[Any, Any], run: ActiveRun, value: Any) -> Ref | None:
    if run.host.task is not None:
        # The run that waits for it restores it as a result of the task.
        return run.checkpoints.keep(value, path="", task=flow.name, required=True, source=flow.source)
    try:
        return run.checkpoints.keep_result(value)
    except NotSerialisable as error:
        run.checkpoints.warn("", f"The result of the flow is not stored: {error} Return plain data.")
        return None


def _end_by(host: Host, error: BaseException, failed_by: list[str] | None) -> RunEnd:
    asked = host.cancel.reason
    if asked is None:
        return RunEnd("failed", error=error, failed_by=failed_by)
    cause = asked.run_cause if isinstance(asked, Cancelled) else "user"
    # An evicted attempt has not failed: its run continues on another worker.
    if not isinstance(asked, Cancelled) or cause in ("user", "evicted"):
        return RunEnd("cancelled", error=error, failed_by=failed_by)
    stopped = Stopped(asked)
    stopped.__cause__ = None if error is asked else error
    return RunEnd("failed", error=stopped, failed_by=failed_by)


def _conclude(flow: Flow[Any, Any], run: ActiveRun, end: RunEnd) -> None:
    """Runs the hooks once the outcome is known, then makes the stored results safe."""
    asked = run.host.cancel.reason
    # A drained worker's run continues elsewhere, so it has not been cancelled.
    is_evicted = end.outcome == "cancelled" and isinstance(asked, Cancelled) and asked.run_cause == "evicted"
    hook = None if is_evicted else flow.hook_of(end.outcome)
    max_ms = HOOK_MS if asked is None else STOPPED_HOOK_MS
    if hook is not None:
        # The hook can use what the flow can, so it gets a request to stop of its own.
        token = current.set(Scope(run, "", Cancel(), CallLedger("", run.host.store.hashes), flow.is_async))
        told = end.value if end.outcome == "completed" else end.error
        call_hook(f"The hook for {end.outcome}", max_ms, lambda: _hooked(run, hook(told)), run.warn)
        current.reset(token)
    if not is_evicted:
        for listener in run.at_end:
            call_hook("A report of the outcome to another tool", max_ms, lambda: listener(end.outcome), run.warn)
    run.opened.close(run.warn)
    PROCESS.end_lines()
    run.has_ended = True
    run.checkpoints.sync()


def run_ending(flow: Flow[Any, Any], host: Host, ending: Mapping[str, str]) -> None:
    """Runs a flow's hook for an attempt whose process ended without an outcome.

    Args:
        ending: `outcome`, `cancelled` or `crashed`; `cause`; `reason`.
    """
    outcome, reason = ending["outcome"], ending["reason"]
    run = _active_run(flow, host)
    hook = flow.hook_of(outcome)
    release = capture(host.records)
    try:
        if hook is not None:
            token = current.set(Scope(run, "", Cancel(), CallLedger("", run.host.store.hashes), flow.is_async))
            told = Cancelled(reason) if outcome == "cancelled" else ProcessEnded(ending["cause"], reason)
            call_hook(f"The hook for {outcome}", HOOK_MS, lambda: _hooked(run, hook(told)), run.warn)
            current.reset(token)
        run.opened.close(run.warn)
        PROCESS.end_lines()
    finally:
        release()
    # The control plane knows the outcome already. This record only says that no more follow.
    host.records.post_held({"type": "outcome", "at": instant(host.clock), "outcome": "cancelled"})


def _hooked(run: ActiveRun, told: Any) -> Any:
    """What a hook has returned. The resources that an async hook opens are closed in its event loop."""
    if not inspect.iscoroutine(told):
        return None

    async def awaited() -> None:
        try:
            await told
        finally:
            await run.opened.close_in_loop(run.warn)

    return awaited()


def _close_before_suspension(run: ActiveRun) -> None:
    """Tears down the set-ups and closes the resources. A later attempt makes them again."""
    loop = run.waits.loop
    if loop is None:
        while run.when_suspended:
            try:
                run.when_suspended.pop()()
            except BaseException as error:
                run.warn(f"The tear-down failed: {stack_of(error)}")
        run.opened.close(run.warn)
        return
    import asyncio

    async def closed() -> None:
        while run.when_suspended:
            try:
                await run.when_suspended.pop()()
            except BaseException as error:
                run.warn(f"The tear-down failed: {stack_of(error)}")
        await run.opened.close_in_loop(run.warn, everything=True)

    asyncio.run_coroutine_threadsafe(closed(), loop).result()


def _suspend(run: ActiveRun, paths: list[str]) -> None:
    """Closes the resources, reports that the run is suspended, and ends the process. Nothing is raised in the author's
    code."""
    _close_before_suspension(run)
    _end_runners(run)
    run.checkpoints.sync()
    run.host.records.post_held(_outcome(run.host, RunEnd("suspended", waits=tuple(paths))))
    run.host.end_process()


def _outcome(host: Host, end: RunEnd) -> dict[str, Any]:
    record: dict[str, Any] = {"type": "outcome", "at": instant(host.clock), "outcome": end.outcome}
    if end.outcome == "completed":
        return record if end.result is None else {**record, "result": end.result}
    if end.outcome == "suspended":
        return {**record, **_suspended_on(end.waits)}
    if end.error is not None:
        record["error"] = describe_error(end.error)
        if end.outcome == "failed" and _is_out_of_time(end.error):
            record["cause"] = "timeout"
    if end.failed_by is not None:
        record["failedBy"] = end.failed_by
    return record


def _suspended_on(waits: tuple[str, ...]) -> dict[str, Any]:
    named: list[str] = []
    chars = 0
    for path in waits[:_WAITS_MAX]:
        chars += len(path)
        if chars > _WAITS_CHARS_MAX:
            break
        named.append(path)
    return {"waits": named} if len(named) == len(waits) else {"waits": named, "moreWaits": True}


def _is_out_of_time(error: BaseException) -> bool:
    for one in every_error(error):
        if isinstance(one, TaskTimeout):
            return True
        if isinstance(one, (ChildFailed, Stopped)) and one.run_cause in ("timeout", "run-timeout"):
            return True
    return False
