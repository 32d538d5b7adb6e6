"""Answers a worker's questions about external jobs, with the code of the flow that wanted each."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from ..checkpoint.checkpoints import Checkpoints
from ..clock import SYSTEM_CLOCK, instant
from ..engine.cancel import Cancel
from ..engine.describe_error import describe_error
from ..engine.failures import Failures
from ..engine.host import Facts, Host, Resume
from ..engine.io import BLOCKING, Limit, finish
from ..engine.scope import ActiveRun, OpenCalls, Scope, current
from ..engine.timers import TIMERS
from ..gateway.session import store_of
from ..problem import OutsideOfRun, TowpathError
from ..resources.opened import Opened
from ..store.codec import Ref, encode
from ..store.places import Place
from ..suspend.waits import Waits
from ..task.identity import CallLedger
from ..task.pool import Pool
from .calls import blocking
from .job import ASK_MS, Job, job_named, status_of

_HANDLES_MAX = 4000
"""The most handles in memory: more than the jobs of one worker."""

Answer = Mapping[str, Any]


class _NoRecords:
    """Drops records: there is no run that could have them."""

    def post(self, record: Mapping[str, Any]) -> None: ...

    def post_held(self, record: Mapping[str, Any]) -> None: ...

    def when_held(self, record: Mapping[str, Any], then: Callable[[BaseException | None], None]) -> None:
        then(None)

    def post_stored(self, record: Mapping[str, Any]) -> None: ...


class _NoWaits:
    suspends = False

    def ask(self, path: str, wait: Mapping[str, Any]) -> Answer:
        return _refuse()

    def listen(self, listener: Callable[[list[str]], None]) -> None: ...


def _refuse(*_: object) -> NoReturn:
    raise OutsideOfRun("The control plane", "A job's poll and cancel can call only their backend.")


class Tender:
    """Polls and cancels the jobs that this process's modules declare. Safe for several threads. An error says nothing about
    the job."""

    def __init__(self, ground: Mapping[str, Any]) -> None:
        """
        Args:
            ground: the workspace, deployment and version, their store and secrets.
        """
        self._store = store_of(ground["store"])
        self._host = _host_of(ground, self._store)
        self._run = _run_of(self._host)
        self._handles: OrderedDict[str, Any] = OrderedDict()

    def answer(self, ask: Mapping[str, Any]) -> Answer:
        """The answer to a question about one job. Raises nothing."""
        job = job_named(ask["job"])
        if job is None:
            return _stumbled(f'No module that the flow imports declares a job "{ask["job"]}" at its top.')
        cancel = Cancel()
        what = f'{ask["kind"]} of job "{job.name}"'
        late = TowpathError(f"{what} took longer than its {ASK_MS // 1000} s.")
        take_back = TIMERS.after(ASK_MS, lambda: cancel.abort(late))
        work = self._poll if ask["kind"] == "poll" else self._cancel
        try:
            told: Answer = finish(BLOCKING.invoke(lambda: work(job, ask, cancel), cancel, Limit(0, lambda: None)))
            return told
        except BaseException as error:
            described = describe_error(error)
            return _stumbled(f"{described['name']}: {described['message']}")
        finally:
            take_back()

    def keep(self, value: Any) -> Ref:
        """Stores a value."""
        return self._store.save(Place("job", 0, "handle", "handle"), encode(value, "handle"))

    def load(self, ref: Ref) -> Any:
        """A stored value, which is read once and not at every poll."""
        uri = ref["uri"]
        if uri not in self._handles:
            found = self._store.load(ref)
            if len(self._handles) >= _HANDLES_MAX:
                self._handles.clear()
            self._handles[uri] = found
            return found
        return self._handles[uri]

    def _poll(self, job: Job[Any, Any, Any], ask: Mapping[str, Any], cancel: Cancel) -> Answer:
        poll, handle = job.poll, ask["handle"]
        if handle is None or poll is None:
            return _stumbled("Its handle is not known.")
        value = self.load(handle)
        status = status_of(job, lambda: self._called(ask, poll, value, cancel))
        if status.state == "running":
            return {"kind": "running", "says": status.says}
        if status.state == "failed":
            return {"kind": "failed", "error": {"name": "JobFailed", "message": status.reason}}
        if status.result is None:
            return {"kind": "completed", "result": None}
        place = Place(ask["runId"], 0, ask["key"], "result")
        return {"kind": "completed", "result": self._store.save(place, encode(status.result, "result"))}

    def _cancel(self, job: Job[Any, Any, Any], ask: Mapping[str, Any], cancel: Cancel) -> Answer:
        if job.cancel is None:
            return {"kind": "left", "detail": "It has no cancel."}
        if ask["handle"] is not None:
            self._called(ask, job.cancel, self.load(ask["handle"]), cancel)
            return {"kind": "cancelled"}
        if job.find is None:
            return {"kind": "left", "detail": "Its handle is not known."}
        found = self._called(ask, job.find, ask["key"], cancel)
        if found is not None:
            self._called(ask, job.cancel, found, cancel)
        return {"kind": "cancelled"}

    def _called(self, ask: Mapping[str, Any], fn: Callable[[Any], Any], argument: Any, cancel: Cancel) -> Any:
        """Calls a function of the author in a scope with secrets and resources."""
        host = replace(self._host, facts=replace(self._host.facts, run_id=ask["runId"]))
        is_async = inspect.iscoroutinefunction(fn)
        # An event loop of its own has resources of its own. Others stay open while the process lives.
        own = Opened() if is_async else self._run.opened
        run = replace(self._run, host=host, opened=own)
        token = current.set(Scope(run, "", cancel, CallLedger("", run.host.store.hashes), is_async))
        try:
            return blocking(lambda: _closing(run, fn(argument)) if is_async else fn(argument))
        finally:
            current.reset(token)


async def _closing(run: ActiveRun, told: Any) -> Any:
    try:
        return await told
    finally:
        await run.opened.close_in_loop(lambda _: None, everything=True)


def _stumbled(detail: str) -> Answer:
    return {"kind": "stumbled", "detail": detail}


def _host_of(ground: Mapping[str, Any], store: Any) -> Host:
    secrets: Mapping[str, str] = ground["secrets"]

    def secret(name: str) -> str:
        if name in secrets:
            return secrets[name]
        raise OutsideOfRun(f'Secret "{name}"', next='Name it in the deployment\'s "secrets".')

    return Host(
        facts=Facts("", "", 0, ground["workspaceId"], ground["deployment"], ground["version"], instant(SYSTEM_CLOCK)),
        parameters=None,
        records=_NoRecords(),
        store=store,
        resume=Resume(origin=""),
        clock=SYSTEM_CLOCK,
        random=_refuse,
        secret=secret,
        call=_refuse,
        waits=_NoWaits(),
        cancel=Cancel(),
        end_process=lambda: None,
    )


def _run_of(host: Host) -> ActiveRun:
    open_ = OpenCalls()
    return ActiveRun(
        flow=host.facts.deployment,
        host=host,
        checkpoints=Checkpoints(host, False),
        cancel=Cancel(),
        failures=Failures(),
        waits=Waits(host, open_),
        pool=Pool(),
        open=open_,
    )


def tend_jobs(channel: Any, open_: Callable[[], Tender]) -> NoReturn:
    """Answers questions until the worker closes the channel, which ends this process.

    Args:
        open_: loads the code. If that fails, each answer says so.
    """
    tender: Tender | None = None
    fault = ""
    try:
        tender = open_()
    except BaseException as error:
        fault = f"Its code could not be loaded: {error or type(error).__name__}"
    pool = Pool()
    while True:
        told = channel.next()

        def work(told: Mapping[str, Any] = told) -> None:
            answer = _stumbled(fault) if tender is None else tender.answer(told["ask"])
            channel.tell({"number": told["number"], "told": answer})

        pool.submit(work)
