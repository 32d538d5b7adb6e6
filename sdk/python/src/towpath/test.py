"""Runs flows in unit tests: without a worker, with fakes for everything outside, killed and resumed as you like.

run = run_flow(train, {"path": "x"}, kill_after="load")
resumed = run.resume(answers={"Publish?": True})
assert resumed.value == 48 and resumed.executions["load"] == 1
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Union

from ._internal.clock import SYSTEM_CLOCK, Clock, SystemClock
from ._internal.engine.cancel import Cancel
from ._internal.engine.due import Due
from ._internal.engine.host import Facts, Host, Resume
from ._internal.engine.run_flow import RunEnd
from ._internal.engine.run_flow import run_flow as _run_flow
from ._internal.engine.run_here import new_run_id
from ._internal.flow import Flow
from ._internal.jobs.own import OwnJobs
from ._internal.problem import OutsideOfRun, TowpathError
from ._internal.resources.resource import AsyncResource, Resource
from ._internal.store.codec import encode
from ._internal.store.memory_store import MemoryStore
from ._internal.store.pickled import Pickles
from ._internal.store.places import Place
from ._internal.testing.children import TestChildren, no_child
from ._internal.testing.jobs import TestJobs
from ._internal.testing.life import KillAfter, Life, MortalRecords, MortalStore
from ._internal.testing.told import TaskRun, checkpoints_of, tasks_of
from ._internal.testing.waits import EXPIRED, TestWaits

__all__ = ["EXPIRED", "TaskRun", "TestedRun", "run_flow"]

AnyResource = Union[Resource[Any], AsyncResource[Any]]
_STORE_KEY = os.urandom(32)
_NIL_ID = "00000000-0000-0000-0000-000000000000"


class NothingToResume(TowpathError):
    """A completed run was asked for another attempt."""

    code = "nothing-to-resume"


class _FakeClock(SystemClock):
    """A clock on which pauses of the engine take no time."""

    def pause(self, ms: float, cancel: Cancel) -> None:
        cancel.raise_if_asked()


@dataclass(frozen=True)
class _Attempt:
    flow: Flow[Any, Any]
    parameters: Mapping[str, Any]
    facts: Facts
    origin: str
    store: Any
    secrets: Mapping[str, str]
    fakes: Mapping[str, Any]
    answers: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None
    children: TestChildren
    jobs: OwnJobs
    clock: Clock
    pickles: Pickles
    earlier: tuple[Mapping[str, Any], ...] = ()
    executions: Mapping[str, int] = field(default_factory=dict)
    asked: dict[str, tuple[float, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class TestedRun:
    """One attempt of a run, and all its records."""

    __test__ = False

    outcome: str
    """`completed`, `failed`, `cancelled`, `suspended` or `killed`."""
    value: Any
    """The flow's result; None unless it completed."""
    error: BaseException | None
    """What was raised; None if it completed or was killed."""
    waits: tuple[str, ...]
    """The paths of its waits, if it was suspended."""
    records: Sequence[Mapping[str, Any]]
    executions: Mapping[str, int]
    """How often each task's function was called, by task name, in this and all earlier attempts."""
    _made: _Attempt
    _held: tuple[Mapping[str, Any], ...]

    @property
    def store(self) -> Any:
        """The store of the run's values."""
        return self._made.store

    @property
    def attempt(self) -> int:
        """Ordinal of the attempt, from 1."""
        return self._made.facts.attempt

    @property
    def tasks(self) -> list[TaskRun]:
        """The task runs, in the order of their calls."""
        return tasks_of(self.records)

    @property
    def logs(self) -> list[str]:
        """The texts of the log lines."""
        return [record["text"] for record in self.records if record["type"] == "log"]

    @property
    def artifacts(self) -> dict[str, Mapping[str, Any]]:
        """The latest body under each key."""
        return {record["key"]: record["body"] for record in self.records if record["type"] == "artifact"}

    @property
    def name(self) -> str | None:
        """The run's name, if its flow gives one."""
        return next((record["name"] for record in self.records if record["type"] == "run-name"), None)

    def resume(self, *, answers: Mapping[str, Any] | None = None, kill_after: KillAfter | None = None) -> TestedRun:
        """Starts the next attempt of this run, which reuses completed tasks.

        Raises:
            NothingToResume: if this attempt has completed.
        """
        if self.outcome == "completed":
            raise NothingToResume("The run has completed.", next="Use rerun() for a new run that reuses its results.")
        facts = replace(self._made.facts, attempt=self.attempt + 1, attempt_id=new_run_id())
        given = {**self._made.answers, **(answers or {})}
        return _tested(
            replace(self._made, facts=facts, earlier=self._held, executions=self.executions, answers=given), kill_after
        )

    def rerun(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        flow: Flow[Any, Any] | None = None,
        answers: Mapping[str, Any] | None = None,
        kill_after: KillAfter | None = None,
    ) -> TestedRun:
        """Starts a new run, with other parameters or a changed flow if given, that reuses valid results of this run."""
        run_id = new_run_id()
        made = replace(
            self._made,
            flow=flow or self._made.flow,
            parameters=self._made.parameters if parameters is None else parameters,
            facts=replace(self._made.facts, run_id=run_id, attempt_id=new_run_id(), attempt=1),
            earlier=tuple({**item, "own": False} for item in self._held),
            executions={},
            asked={},
            jobs=OwnJobs(),
            answers={**self._made.answers, **(answers or {})},
        )
        return _tested(made, kill_after)


def run_flow(
    flow: Flow[Any, Any],
    parameters: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    resources: Mapping[AnyResource, Any] | None = None,
    answers: Mapping[str, Any] | None = None,
    children: Mapping[str, Any] | None = None,
    call: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    due: Due | None = None,
    kill_after: KillAfter | None = None,
    clock: str = "fake",
    store: Any = None,
    codecs: Sequence[str] = (),
) -> TestedRun:
    """Runs a flow in this process. It never raises for an error of the flow: look at `outcome` and `error`.

    Args:
        secrets: values of its secrets, by name.
        resources: values for resources that are not to be opened: `{warehouse: FakeWarehouse()}`.
        answers: answers to waits, by a question's title, an event's name (`"name key"` with a key) or a run's id. EXPIRED
            lets a deadline pass. A job is answered by its name: with its result, or with an exception if it failed. A job
            without an answer is polled until it ends, once the run is resumed. Without an answer, the run is suspended.
        children: results of runs of other deployments, by the name of the deployment: a value, a function of the
            parameters, or an exception for a failed run.
        call: answers the flow's other calls to the control plane.
        due: the due time of a scheduled run.
        kill_after: ends the attempt like `kill -9`, as soon as this many tasks have completed, or the first of this name.
        store: the store of an earlier `TestedRun`, for results that runs share. Default: a new one in memory.
        codecs: what the deployment allows: `["pickle"]` stores results that only pickle can hold. The key is this process's.
        clock: on the `fake` clock, delays before retries take no time. `system` is the machine's.
    """
    run_id = new_run_id()
    facts = Facts(run_id, new_run_id(), 1, _NIL_ID, flow.name, 1, "2026-01-01T00:00:00.000Z", due)
    made = _Attempt(
        flow=flow,
        parameters=parameters or {},
        facts=facts,
        origin=run_id,
        store=MemoryStore() if store is None else store,
        secrets=secrets or {},
        fakes={resource.name: value for resource, value in (resources or {}).items()},
        answers=answers or {},
        call=call,
        children=TestChildren(children or {}),
        jobs=OwnJobs(),
        clock=_FakeClock() if clock == "fake" else SYSTEM_CLOCK,
        pickles=Pickles([_STORE_KEY] if "pickle" in codecs else None),
    )
    return _tested(made, kill_after)


def _tested(made: _Attempt, kill_after: KillAfter | None) -> TestedRun:
    records: list[Mapping[str, Any]] = []
    life = Life(kill_after)
    ends: list[RunEnd] = []

    def suspended() -> None:
        waits = tuple(records[-1].get("waits", ()))
        ends.append(RunEnd("suspended", waits=waits))
        life.is_over = True
        life.ended.set()

    def work() -> None:
        ends.append(_run_flow(made.flow, _host_of(made, records, life, suspended)))
        life.ended.set()

    # In a thread of its own, which a kill or a suspension leaves for ever.
    threading.Thread(target=work, name="towpath-test", daemon=True).start()
    life.ended.wait()
    end = ends[0] if ends else RunEnd("killed")
    executions = dict(made.executions)
    for record in records:
        if record["type"] == "task" and record["move"] == "begin":
            executions[record["name"]] = executions.get(record["name"], 0) + 1
    return TestedRun(
        outcome=end.outcome,
        value=end.value,
        error=end.error,
        waits=end.waits,
        records=tuple(records),
        executions=executions,
        _made=made,
        _held=(*made.earlier, *checkpoints_of(records)),
    )


def _host_of(made: _Attempt, records: list[Mapping[str, Any]], life: Life, suspended: Callable[[], None]) -> Host:
    def secret(name: str) -> str:
        if name in made.secrets:
            return made.secrets[name]
        raise OutsideOfRun(f'Secret "{name}"', next="Give run_flow the option secrets.")

    def call(path: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        def keep(value: Any) -> Any:
            return made.store.save(Place(made.facts.run_id, 0, path, "child"), encode(value, "result"))

        def answered() -> Mapping[str, Any]:
            noted = jobs.note_handle(path, asked)
            if noted is not None:
                return noted
            child = made.children.start(path, asked, keep)
            if child is not None:
                return child
            if made.call is None:
                raise no_child(asked)
            return made.call(asked)

        return life.use(answered)

    jobs = TestJobs(made.jobs, made.facts, made.store, made.clock)
    page = {"items": made.earlier, "next": None}
    return Host(
        facts=made.facts,
        parameters=made.parameters,
        records=MortalRecords(records, life),
        store=MortalStore(made.store, life),
        resume=Resume(origin=made.origin, earlier=(lambda _after: page) if made.earlier else None, keeps=True),
        clock=made.clock,
        random=random.random,
        secret=secret,
        call=call,
        waits=TestWaits(
            made.answers,
            clock=made.clock,
            attempt=made.facts.attempt,
            asked=made.asked,
            life=life,
            children=made.children,
            jobs=jobs,
        ),
        cancel=Cancel(),
        end_process=suspended,
        settings_of=lambda _: None,
        fakes=made.fakes,
        pickles=made.pickles,
    )
