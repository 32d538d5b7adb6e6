"""Runs one task call and reports each of its moves."""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..cache.task_cache import Cache, TaskCache
from ..checkpoint.checkpoints import Facts
from ..clock import instant
from ..engine.cancel import Cancel
from ..engine.describe_error import describe_error, raised_again
from ..engine.hooks import HOOK_MS, call_hook
from ..engine.io import LOOP, Io, Limit
from ..engine.scope import ActiveRun, Scope, current
from ..engine.timers import TIMERS
from ..problem import Cancelled, NotData, TaskTimeout
from ..store.codec import PICKLE
from .durations import ms_of
from .identity import CallLedger
from .lineage import Producer, Producers, upstream_fact
from .options import TaskOptions
from .retry import is_retryable, retry_delay_ms
from .slots import Holder, no_slots, take_slots
from .watched import ends_run, watched

if TYPE_CHECKING:
    from .runners import OpenRunner, Runner

_STILL_RUNNING = (
    "did not end after its time limit, so it is still running. Python cannot end a thread or a coroutine that ignores it: "
    'ask is_cancelled() between two steps, set runs_in="process", or give the task if_ignored="kill".'
)


@dataclass(frozen=True)
class TaskCall:
    """One call of a task, with its identity known."""

    options: TaskOptions
    path: str
    scope: Scope
    fn: functools.partial[Any]
    """Calls the author's function with its arguments."""
    told: Callable[[], list[Any]]
    """The values that identify the call, in the order of the parameters."""
    source: Callable[..., Any]
    """The author's function."""
    input_hash: Callable[[], str] | None
    """The hash of the arguments. None if the path identifies them."""
    io: Io
    called_at: str
    declared: TaskOptions | None = None
    """The options where the task is declared. None for a flow."""
    holds: int = 1
    """How often the call counts as open."""
    upstream: Producers = ()
    """The calls that its arguments came from."""
    map: str | None = None
    """The path of the map that makes the call, if one does."""

    def record(self, move: str, tries: int, **more: Any) -> dict[str, Any]:
        """The record of one move."""
        at = instant(self.scope.run.host.clock)
        return {
            "type": "task",
            "at": at,
            "path": self.path,
            "name": self.options.name,
            "move": move,
            "tries": tries,
            **more,
        }

    def first_record(self, move: str, **more: Any) -> dict[str, Any]:
        """The first record of the call, which also says where its arguments came from."""
        return self.record(move, 0, **upstream_fact(self.upstream), **more)

    def say(self, level: str, text: str) -> None:
        """Logs a line about this call."""
        host = self.scope.run.host
        line = f'Task "{self.options.name}" {text}'
        host.records.post({"type": "log", "at": instant(host.clock), "level": level, "text": line, "task": self.path})

    def warn(self, text: str) -> None:
        """Logs a warning about this call."""
        self.scope.run.checkpoints.warn(self.path, f'Task "{self.options.name}" {text}')


async def run_task(call: TaskCall) -> Any:
    """Runs one task call. Returns only when the worker holds the record of its completion."""
    result = await _run_or_reuse(call)
    call.scope.run.lineage.note(result, Producer(call.path, call.map), call.upstream)
    return result


async def _run_or_reuse(call: TaskCall) -> Any:
    run = call.scope.run
    if call.options.pool is not None:
        from ..remote.elsewhere import check_arguments, run_elsewhere

        if run.host.pool_of is not None:
            return await run_elsewhere(call)
        check_arguments(call)
    facts, cache, earlier = await find_earlier(call)
    if earlier is not None:
        return earlier[0]
    run.host.records.post({**call.first_record("queue"), "at": call.called_at})
    tries = [0]
    try:
        result = await _try_repeatedly(call, tries)
        if cache is not None:
            cache.keep(result)
        kept = _keep(call, result, facts)
    except BaseException as error:
        await _report_end(call, tries[0], facts, error)
        if _is_ignored(error):
            # Before the flow receives the error, so that it can start nothing more.
            run.fail(error)
        raise
    reported = {} if facts is None else facts.reported()
    try:
        await _post_end(call, call.record("complete", tries[0], **reported, **kept))
    except Exception as error:
        # Not for a coroutine that is cancelled here: the call has completed, and has one end.
        await _report_end(call, tries[0], facts, error)
        raise
    return result


async def find_earlier(call: TaskCall) -> tuple[Facts | None, TaskCache | None, tuple[Any] | None]:
    """What a later attempt compares, the cache of the call, and the valid result of an earlier call."""
    facts = _facts_of(call)
    cache = _cache_of(call)
    if call.scope.anew:
        return facts, cache, None
    earlier = None if facts is None else await _take_earlier(call, facts)
    if earlier is None and cache is not None:
        earlier = _take_cached(call, cache, facts)
    if earlier is not None:
        await call.io.let_others_run()
    return facts, cache, earlier


def _facts_of(call: TaskCall) -> Facts | None:
    """None for a call without a checkpoint."""
    options, checkpoints = call.options, call.scope.run.checkpoints
    if not (checkpoints.by_default if options.checkpoint is None else options.checkpoint):
        return None
    version = checkpoints.code_version_of(options.name, options.version, call.source)
    if call.input_hash is None:
        return Facts(version, None, has_input=False)
    try:
        return Facts(version, call.input_hash(), has_input=True)
    except NotData:
        # Arguments that cannot be hashed cannot be compared. With a key, this is no error.
        return Facts(version, None, has_input=True)


def _cache_of(call: TaskCall) -> TaskCache | None:
    options, checkpoints = call.options, call.scope.run.checkpoints
    if options.cache is False:
        return None
    own = Cache() if options.cache is True else options.cache
    return TaskCache(call, own, lambda: checkpoints.code_version_of(options.name, options.version, call.source))


def _take_cached(call: TaskCall, cache: TaskCache, facts: Facts | None) -> tuple[Any] | None:
    found = cache.find()
    if found is None:
        return None
    value, ref = found
    reported = {} if facts is None else facts.reported()
    # A pickled value of the cache is no result of this call. Later attempts would refuse it.
    kept = _keep(call, value, facts) if ref["codec"] == PICKLE else {"result": ref}
    call.scope.run.host.records.post(call.first_record("reuse", **reported, **kept))
    return (value,)


async def _take_earlier(call: TaskCall, facts: Facts) -> tuple[Any] | None:
    """The valid result of an earlier call, or None.

    Raises:
        Exception: the error of the call in an earlier attempt, if it must be raised again.
    """
    checkpoints, failures = call.scope.run.checkpoints, call.scope.run.failures
    failed = checkpoints.failure(call.path, facts)
    if failed is not None:
        described, is_recorded = failed
        error = raised_again(described)
        failures.note_again(call.path, error)
        end = call.first_record("fail", **facts.reported(), error=described)
        if is_recorded:
            failures.note_unrecorded(end)
        else:
            await _post_end(call, end)
        await call.io.let_others_run()
        raise error
    found = checkpoints.reuse(call.path, facts, call.source)
    if found is None:
        return None
    if not found.is_recorded:
        call.scope.run.host.records.post(call.first_record("reuse", **facts.reported(), result=found.ref))
    return (found.value,)


async def _try_repeatedly(call: TaskCall, tries: list[int]) -> Any:
    """Tries until one succeeds or no retry is left.

    A try may fail because a call in it repeats a failure of an earlier attempt. In that attempt this task went on to its
    next try, so it does so again, at once. It had no next try if no retry was left: the task fails.
    """
    run = call.scope.run
    calls = CallLedger(call.path, run.host.store.hashes)
    again = 0
    while True:
        call.scope.cancel.raise_if_asked()
        tries[0] += 1
        try:
            return await _try_with_slots(call, calls, tries[0])
        except BaseException as error:
            if _is_repeated(call, error):
                if again >= call.options.retries:
                    raise
                again += 1
                run.host.records.post(call.record("retry", tries[0], error=describe_error(error)))
            elif not _is_worth_retrying(call, tries[0] - again, error):
                raise
            else:
                await _wait_for_retry(call, tries[0], error)


async def _try_with_slots(call: TaskCall, calls: CallLedger, tries: int) -> Any:
    """A try begins once it has its slots. It holds none while it waits for the next try."""
    holder, give_back = call.scope.holder, no_slots
    if call.options.limits or call.options.tags:
        holder, give_back = await call.io.blocking(lambda: take_slots(call, tries))
    is_left = [False]
    try:
        call.scope.run.host.records.post(call.record("begin", tries))
        return await _try_once(call, calls, tries, holder, is_left)
    finally:
        # A function that ignores its time limit still uses its slots. They return when the attempt ends.
        if not is_left[0]:
            give_back()


async def _try_once(call: TaskCall, calls: CallLedger, tries: int, holder: Holder | None, is_left: list[bool]) -> Any:
    """@param is_left Becomes True if the function still runs when this returns."""
    scope = call.scope
    cancel = Cancel(scope.cancel)
    limit_ms = call.options.timeout_ms
    up = None if limit_ms is None else TaskTimeout(call.options.name, limit_ms)
    context = contextvars.copy_context()
    context.run(current.set, Scope(scope.run, call.path, cancel, calls, call.io is LOOP, holder))

    grace_ms = ms_of("timeout_grace", call.options.timeout_grace)

    def on_left() -> None:
        is_left[0] = True
        if ends_run(call) and cancel.reason is up:
            raise TaskTimeout(call.options.name, limit_ms or 0, grace_ms)
        call.warn(_STILL_RUNNING)

    fn, heard, end_watch = watched(call, tries, cancel, call.fn)
    limit = None if limit_ms is None else Limit(grace_ms, on_left, heard)
    # After the watchdog has begun: to start its process takes longer than a short limit.
    take_back = None if up is None else TIMERS.after(limit_ms or 0, lambda: cancel.abort(up))
    try:
        if call.options.runs_in != "thread":
            runner = _runner_of(scope.run, call.options.runs_in)
            result = await call.io.blocking(lambda: runner.call(call, calls, cancel))
        else:
            result = await call.io.invoke(fn, cancel, limit, context)
        if up is not None and cancel.reason is up:
            raise up
    except BaseException:
        # Calls that the function left running must not go on beside the next try.
        cancel.abort(Cancelled(f'task "{call.options.name}" had already ended'))
        raise
    finally:
        end_watch()
        if take_back is not None:
            take_back()
        if not calls.has_open() or cancel.reason is not None:
            cancel.release()
    return result


_starting = threading.Lock()


def _runner_of(run: ActiveRun, runs_in: Literal["process"] | Runner) -> OpenRunner:
    """The processes or the cluster of a run's tasks. Their modules load with the first call."""
    with _starting:
        if runs_in not in run.runners:
            if isinstance(runs_in, str):
                from ..process.children import Children

                run.runners[runs_in] = Children()
            else:
                run.runners[runs_in] = runs_in.open()
        return run.runners[runs_in]


def _is_repeated(call: TaskCall, error: BaseException) -> bool:
    """Whether a try failed because a call in it repeated a failure of an earlier attempt."""
    return call.scope.cancel.reason is None and call.scope.run.failures.take_again(error)


def _is_worth_retrying(call: TaskCall, tries: int, error: BaseException) -> bool:
    if tries > call.options.retries or call.scope.cancel.reason is not None or _is_ignored(error):
        return False
    return is_retryable(call.options, error, tries)


def _is_ignored(error: BaseException) -> bool:
    return isinstance(error, TaskTimeout) and error.ignored


async def _wait_for_retry(call: TaskCall, tries: int, error: BaseException) -> None:
    host = call.scope.run.host
    ms = retry_delay_ms(call.options, tries=tries, error=error, random=host.random)
    described = describe_error(error)
    host.records.post(call.record("retry", tries, error=described))
    call.warn(f"failed in try {tries}. The next try begins in {ms} ms. Error: {described['message']}")
    _tell(call, "on_retry", error, tries)
    await call.io.pause(host.clock, ms, call.scope.cancel)


def _keep(call: TaskCall, result: object, facts: Facts | None) -> dict[str, Any]:
    if facts is None:
        return {}
    options, checkpoints = call.options, call.scope.run.checkpoints
    required = options.checkpoint is True
    ref = checkpoints.keep(
        result, path=call.path, task=options.name, required=required, source=call.source, facts=facts
    )
    return {} if ref is None else {"result": ref}


async def _post_end(call: TaskCall, end: Mapping[str, Any]) -> None:
    """Reports that a call has ended, as durably as its task requires."""
    records = call.scope.run.host.records
    if call.options.durable:
        call.scope.run.checkpoints.sync()
        await call.io.stored(records, end)
    else:
        await call.io.held(records, end)


async def _report_end(
    call: TaskCall, tries: int, facts: Facts | None, error: BaseException, *, hook_ran: bool = False
) -> None:
    """
    Args:
        hook_ran: whether the hook was called in the pool where the task ran.
    """
    run = call.scope.run
    is_stopping = call.scope.cancel.reason is not None or run.cancel.reason is not None
    is_cancellation = isinstance(error, Cancelled) or error is call.scope.cancel.reason
    move = "cancel" if is_cancellation or not isinstance(error, (Exception, SystemExit, KeyboardInterrupt)) else "fail"
    if move == "fail":
        run.failures.note(call.path, error)
    # A failure during a stop is not final. Without these facts, a later attempt calls the task again.
    reported = {} if facts is None or (is_stopping and move == "fail") else facts.reported()
    end = call.record(move, tries, **reported, error=describe_error(error))
    # Recorded before the flow receives the error, so that its reaction cannot outlive the reason.
    if is_stopping:
        run.host.records.post(end)
    else:
        await _post_end(call, end)
    if move == "fail" and not hook_ran:
        _tell(call, "on_failure", error, tries)


def _tell(call: TaskCall, name: str, error: BaseException, tries: int) -> None:
    """Calls a hook in the scope of the task. If it fails, it logs a warning."""
    hook = getattr(call.options, name)
    if hook is not None:
        call_hook(f"has a hook {name} that", HOOK_MS, lambda: hook(error, tries), call.warn)
