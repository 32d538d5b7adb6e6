"""Waits of a run without a process, slot or worker.

The process ends once nothing else of the run is working. When the wait is over, the flow's function runs again from its
beginning: completed tasks return their stored results, and the flow continues here. Only the flow's own function can
wait. In an async flow, each of these is awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar, Union, overload

from ..checkpoint.checkpoints import Facts
from ..clock import iso_of
from ..engine.interrupt import in_engine_code
from ..engine.io import finish, in_thread
from ..engine.scope import Scope, scope_for
from ..input.convert import convert, schema_of
from ..problem import Fault, InvalidAnswer, InvalidDefinition, SuspendInTask, WaitExpired
from ..task.durations import Duration, ms_of
from ..task.identity import CallKey

if TYPE_CHECKING:
    from ..jobs.job import Job

Answer = TypeVar("Answer")
Deadline = Union[Duration, datetime]


def _begin(what: str, wait: Mapping[str, Any], key: str, id: str | None) -> tuple[Scope, str, Callable[[], None]]:
    """Names a wait in the branch of its caller."""
    scope = scope_for(what)
    if scope.path != "":
        raise SuspendInTask(what, scope.path)
    scope.cancel.raise_if_asked()
    own = key if id is None else f"{key}\n{id}"
    path, settled = scope.calls.name(wait["kind"], CallKey("given", own), "wait")
    return scope, path, settled


def _wait(
    what: str, wait: Mapping[str, Any], key: str, id: str | None, read: Callable[[Mapping[str, Any]], Answer]
) -> Any:
    """The answer; in an async flow, something to await for it."""
    if scope_for(what).is_async:
        return _awaited(*_begin(what, wait, key, id), wait, read)
    return in_engine_code(_blocked, what, wait, key, id, read)


def _blocked(
    what: str, wait: Mapping[str, Any], key: str, id: str | None, read: Callable[[Mapping[str, Any]], Answer]
) -> Answer:
    scope, path, settled = _begin(what, wait, key, id)
    try:
        return read(_satisfied(path, scope.run.waits.until(path, wait, scope.cancel)))
    finally:
        settled()


async def _awaited(
    scope: Scope,
    path: str,
    settled: Callable[[], None],
    wait: Mapping[str, Any],
    read: Callable[[Mapping[str, Any]], Answer],
) -> Answer:
    try:
        return read(_satisfied(path, await in_thread(lambda: scope.run.waits.until(path, wait, scope.cancel))))
    finally:
        settled()


def _satisfied(path: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if answer["state"] == "expired":
        raise WaitExpired(path)
    return answer


def _deadline(deadline: Deadline | None) -> dict[str, float]:
    if deadline is None:
        return {}
    if isinstance(deadline, datetime):
        scope = scope_for("A deadline")
        return {"deadlineMs": max(0, round(_aware(deadline).timestamp() * 1000 - scope.run.host.clock.now_ms()))}
    return {"deadlineMs": round(ms_of("deadline", deadline))}


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise InvalidDefinition(f"{at.isoformat()} has no time zone; write datetime(..., tzinfo=timezone.utc).")
    return at.astimezone(timezone.utc)


def sleep(duration: Duration, *, key: str | None = None) -> Any:
    """Waits for a duration, from the first time that the run gets here. Less than ten seconds pass in this process."""
    ms = ms_of("suspend.sleep", duration)
    whole = int(ms) if float(ms).is_integer() else int(ms) + 1
    return _wait("suspend.sleep", {"kind": "for", "ms": whole}, key or str(whole), None, lambda _: None)


def until(at: datetime, *, key: str | None = None) -> Any:
    """Waits until a time: the one that was given when the run first got here. @raises InvalidDefinition without a zone"""
    if not isinstance(at, datetime):
        raise InvalidDefinition("suspend.until takes a datetime.")
    # The time is not part of the identity: it may be computed anew in each attempt.
    wait = {"kind": "until", "at": iso_of(_aware(at).timestamp() * 1000)}
    return _wait("suspend.until", wait, key or "instant", None, lambda _: None)


@overload
def input(
    title: str, type: type[Answer], *, who: str = ..., deadline: Deadline | None = ..., id: str | None = ...
) -> Answer: ...


@overload
def input(
    title: str, type: Any = ..., *, who: str = ..., deadline: Deadline | None = ..., id: str | None = ...
) -> Any: ...


def input(
    title: str, type: Any = bool, *, who: str = "operator", deadline: Deadline | None = None, id: str | None = None
) -> Any:
    """Asks people. The form for the answer is made from the type.

    Args:
        title: the question as people see it. It also identifies this wait.
        type: `bool`, `Literal["a", "b"]`, a dataclass, ...
        who: the lowest role that may answer: `operator`, `developer` or `admin`.
        deadline: a duration after the run first waits, or a time.
        id: distinguishes equal questions in concurrent branches.

    Returns: the answer, of that type.

    Raises:
        WaitExpired: at the deadline.
    """
    wait = {"kind": "input", "title": title, "schema": schema_of(type), "who": who, **_deadline(deadline)}
    return _wait("suspend.input", wait, title, id, lambda told: _checked(f'question "{title}"', type, told["answer"]))


def event(
    name: str,
    type: Any = Any,
    *,
    key: str | None = None,
    look_back: Duration | None = None,
    deadline: Deadline | None = None,
    id: str | None = None,
) -> Any:
    """Waits for an event of this name, and returns its payload.

    Raises:
        WaitExpired: at the deadline.
        InvalidAnswer: if the payload does not match the type.
    """
    wait: dict[str, Any] = {"kind": "event", "name": name, **_deadline(deadline)}
    if key is not None:
        wait["key"] = key
    if look_back is not None:
        wait["lookBackMs"] = round(ms_of("look_back", look_back))
    if type is not Any:
        wait["schema"] = schema_of(type)
    own = name if key is None else f"{name} {key}"
    return _wait("suspend.event", wait, own, id, lambda told: _checked(f'event "{name}"', type, told["answer"]))


def run(run_id: str, *, deadline: Deadline | None = None, id: str | None = None) -> Any:
    """Waits for the end of a run that already exists. A failure of that run is not raised.

    Returns: its `runId`, `state`, `cause` and `result` (a ref).
    """
    wait = {"kind": "run", "runId": run_id, **_deadline(deadline)}
    return _wait("suspend.run", wait, run_id, id, lambda told: told["run"])


def job(
    job: Job[Any, Any, Answer], input: Any = None, *, key: str | None = None, deadline: Deadline | None = None
) -> Answer:
    """Submits an external job once and waits for its end, without a process. In an async flow, await it.

    Args:
        input: what `submit` gets.
        key: identifies this call. Default: a hash of the input.
        deadline: after it, the job is cancelled.

    Returns: the job's result.

    Raises:
        JobFailed: if it failed.
        JobOutcomeUnknown: if nobody knows whether an earlier attempt has submitted it.
        WaitExpired: at the deadline.
    """
    from ..jobs.await_job import JobCall, await_job, input_hash

    scope = scope_for("suspend.job")
    if scope.path != "":
        raise SuspendInTask("suspend.job", scope.path)
    scope.cancel.raise_if_asked()
    hashed = input_hash(job, input, key, scope.run.host.store.hashes)
    path, settled = scope.calls.name("job", CallKey("given", f"{job.name} {key or hashed}"), "wait")
    version = scope.run.checkpoints.code_version_of(job.name, job.version, job.submit)
    facts = Facts(version, None if key is None else hashed, has_input=key is not None)
    call = JobCall(scope, job, input, path, facts, _deadline(deadline), scope.run.lineage.of([input]))

    async def awaited() -> Any:
        try:
            return await await_job(call)
        finally:
            settled()

    if scope.is_async:
        waiting: Any = awaited()
        return waiting  # type: ignore[no-any-return]
    result: Any = in_engine_code(finish, awaited())
    return result  # type: ignore[no-any-return]


def _checked(what: str, type: Any, answer: Any) -> Any:
    faults: list[Fault] = []
    value = convert(type, answer, "answer", faults)
    if faults:
        raise InvalidAnswer(what, faults)
    return value
