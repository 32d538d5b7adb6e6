"""Submits a job once and waits for its end.

First the control plane records the intent, then the job is submitted, then its handle is stored. If the process dies in
between, the next attempt can continue.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..checkpoint.checkpoints import Facts
from ..clock import instant
from ..engine.describe_error import describe_error
from ..engine.io import BLOCKING, LOOP, Io
from ..engine.scope import Scope
from ..problem import GatewayRefused, InvalidAnswer, JobFailed, JobOutcomeUnknown, NotData, WaitExpired
from ..store.codec import encode
from ..store.hashes import Hashes
from ..store.places import Place
from ..task.input_hash import hash_input
from ..task.lineage import Producer, Producers, upstream_fact
from .calls import called
from .job import Job

_EARLIER_MAX = 100
"""The most failed jobs of one call in a run, at most one for each retry."""
_TOKEN_BYTES = 32
_NEXT = "Pass plain data, or give each call a key of its own: suspend.job(..., key=...)."


@dataclass(frozen=True)
class JobCall:
    """One call of `suspend.job`."""

    scope: Scope
    job: Job[Any, Any, Any]
    input: Any
    path: str
    facts: Facts
    deadline: Mapping[str, float]
    upstream: Producers = ()
    """The calls that its input came from."""

    @property
    def io(self) -> Io:
        """How it waits."""
        return LOOP if self.scope.is_async else BLOCKING

    def post(self, move: str, tries: int, **more: Any) -> None:
        """Records a move of the job."""
        self.scope.run.host.records.post(self.record(move, tries, **more))

    def record(self, move: str, tries: int, **more: Any) -> dict[str, Any]:
        """The record of a move. A job is shown as a task."""
        at = instant(self.scope.run.host.clock)
        moved = {"path": self.path, "name": self.job.name, "move": move, "tries": tries}
        return {"type": "task", "at": at, **moved, **more}

    def wait(self, token: str | None = None) -> dict[str, Any]:
        """The wait, as the control plane stores it."""
        job = self.job
        wait: dict[str, Any] = {
            "kind": "job",
            "job": job.name,
            "pollEveryMs": None if job.poll is None else job.poll_every_ms,
            "cancels": job.cancel is not None,
            **self.deadline,
        }
        return wait if token is None else {**wait, "callback": hashlib.sha256(token.encode("ascii")).hexdigest()}


def input_hash(job: Job[Any, Any, Any], input: Any, key: str | None, hashes: Hashes) -> str | None:
    """The hash of a job's input. None: the call has a key, and its input cannot be compared. @raises NotData"""
    try:
        return hash_input(f'Job "{job.name}"', [input], hashes, _NEXT)
    except NotData:
        if key is None:
            raise
        return None


async def await_job(call: JobCall) -> Any:
    """The result of the job. @raises JobFailed | JobOutcomeUnknown | WaitExpired"""
    result = await _reused_or_awaited(call)
    call.scope.run.lineage.note(result, Producer(call.path), call.upstream)
    return result


async def _reused_or_awaited(call: JobCall) -> Any:
    earlier = call.scope.run.checkpoints.reuse(call.path, call.facts, call.job.submit)
    if earlier is not None:
        if not earlier.is_recorded:
            call.post("reuse", 0, **upstream_fact(call.upstream), **call.facts.reported(), result=earlier.ref)
        return _typed(call.job, earlier.value)
    for place in range(1, _EARLIER_MAX + 1):
        own = call if place == 1 else replace(call, path=f"{call.path}/{place}")
        _fail_again(own)
        with call.scope.run.open:
            asked = await _submitted(own)
        # A job that failed before the run was retried is followed by the next one.
        if _job_of(asked)["earlier"]:
            continue
        ended = await _ended(own)
        with call.scope.run.open:
            return await _concluded(call, ended)
    raise GatewayRefused(f'Job "{call.job.name}" has failed {_EARLIER_MAX} times at {call.path}.')


async def _ended(call: JobCall) -> Mapping[str, Any]:
    run = call.scope.run
    ended = await call.io.blocking(lambda: run.waits.until(call.path, call.wait(), call.scope.cancel))
    if ended["state"] == "expired":
        raise WaitExpired(call.path)
    return ended


def _fail_again(call: JobCall) -> None:
    """Repeats the failure of a job that the flow handled in an earlier attempt."""
    run = call.scope.run
    failed = run.checkpoints.failure(call.path, call.facts)
    if failed is None:
        return
    described, is_recorded = failed
    error = JobFailed(call.job.name, str(described["message"]))
    run.failures.note(call.path, error)
    end = call.record("fail", 0, error=described, **upstream_fact(call.upstream), **call.facts.reported())
    if is_recorded:
        run.failures.note_unrecorded(end)
    else:
        run.host.records.post(end)
    raise error


def _job_of(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    job: Mapping[str, Any] | None = asked.get("job")
    if job is None:
        raise GatewayRefused("The gateway's answer to a wait for a job lacks the job.")
    return job


async def _submitted(call: JobCall) -> Mapping[str, Any]:
    """Records the intent and submits the job, unless it is known to be submitted."""
    job, host, cancel = call.job, call.scope.run.host, call.scope.cancel
    token = secrets.token_urlsafe(_TOKEN_BYTES) if job.callback else None
    asked = await call.io.blocking(lambda: host.waits.ask(call.path, call.wait(token)))
    told = _job_of(asked)
    if asked["state"] != "open" or told["handle"] is not None or told["earlier"]:
        return asked
    key = str(asked["waitId"])
    found = None if told["intendedBy"] == host.facts.attempt_id else await _found_again(call, key)
    if found is None:
        more = {} if token is None else {"callback_url": _address(call, key, token)}
        submit = functools.partial(job.submit, key, call.input, **more)
        found = await called(call.io, submit, cancel)
    await call.io.blocking(lambda: _keep_handle(call, found))
    return asked


def _keep_handle(call: JobCall, handle: Any) -> None:
    host = call.scope.run.host
    place = Place(host.facts.run_id, host.facts.attempt, call.path, "handle")
    ref = host.store.save(place, encode(handle, "handle"))
    host.call(call.path, {"kind": "job-handle", "handle": ref})


def _address(call: JobCall, job_id: str, token: str) -> str:
    facts = call.scope.run.host.facts
    if facts.control_plane == "":
        raise GatewayRefused("This run has no control plane that a backend could call: poll the job instead.")
    return f"{facts.control_plane.rstrip('/')}/api/callbacks/{facts.workspace_id}/{job_id}/{token}"


async def _found_again(call: JobCall, key: str) -> Any:
    """A job that an earlier attempt may have submitted. None: submit it, because there is none or submitting twice is safe.

    Raises:
        JobOutcomeUnknown: if nobody knows.
    """
    job, find = call.job, call.job.find
    if find is None:
        if job.idempotent:
            return None
        raise JobOutcomeUnknown(job.name, key, "the job has no find function")
    try:
        return await called(call.io, lambda: find(key), call.scope.cancel)
    except Exception as cause:
        raise JobOutcomeUnknown(job.name, key, "its find function failed") from cause


async def _concluded(call: JobCall, ended: Mapping[str, Any]) -> Any:
    """The result of an ended job. It is stored like a task's, so reruns reuse it."""
    run, job = call.scope.run, call.job
    outcome = ended["answer"]
    created_at = _job_of(ended)["createdAt"]
    call.post("queue", 0, at=created_at, **upstream_fact(call.upstream))
    call.post("begin", 1, at=created_at)
    if outcome["outcome"] == "failed":
        error = JobFailed(job.name, str(outcome["error"]["message"]))
        run.failures.note(call.path, error)
        end = call.record("fail", 1, error=describe_error(error), **call.facts.reported())
        await call.io.held(run.host.records, end)
        raise error
    ref = outcome.get("result")
    value = brought_back(job, outcome) if ref is None else await call.io.blocking(lambda: run.host.store.load(ref))
    kept = ref
    if kept is None and value is not None:
        kept = run.checkpoints.keep(value, path=call.path, task=job.name, required=False, source=job.submit)
    result = {} if kept is None else {"result": kept}
    await call.io.held(run.host.records, call.record("complete", 1, **call.facts.reported(), **result))
    return _typed(job, value)


def brought_back(job: Job[Any, Any, Any], outcome: Mapping[str, Any]) -> Any:
    """The value that came with the end of a job.

    Nobody signs it, so it is taken only of a job that a callback may end: the worker signs the refs of polled results.

    Raises:
        GatewayRefused: if the job has no callback.
    """
    value = outcome.get("value")
    if value is None or job.callback:
        return value
    raise GatewayRefused(
        f'The control plane says that a callback ended job "{job.name}" with a result, but this job has no callback. '
        "Check at its backend how it ended."
    )


def _typed(job: Job[Any, Any, Any], value: Any) -> Any:
    if job.returns is Any:
        return value
    from ..input.convert import convert

    faults: list[Any] = []
    made = convert(job.returns, value, "result", faults)
    if faults:
        raise InvalidAnswer(f'result of job "{job.name}"', faults)
    return made
