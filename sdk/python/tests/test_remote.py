"""Tasks in other pools: how a flow starts and awaits them, how a run executes one, and which of them a deploy finds."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import towpath.test
from towpath import AsyncTask, ChildFailed, InvalidDefinition, flow, task
from towpath._internal.code.load import load_module
from towpath._internal.engine.describe_error import stack_of
from towpath._internal.engine.host import Host
from towpath._internal.remote.declared import remote_tasks
from towpath.test import TestedRun, run_flow

Made = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass
class Model:
    loss: float


@task(name="far-train", retries=2)
def train(rows: list[int], rate: float = 1.0) -> Model:
    return Model(sum(rows) * rate)


@task(name="far-score")
async def score(x: int) -> int:
    await asyncio.sleep(0)
    if x < 0:
        raise LookupError(f"no {x}")
    return x * 10


@task(name="far-refuse")
def refuse(x: int) -> None:
    raise LookupError(f"no {x}")


on_gpu = train.with_options(pool="gpu")


class Pools:
    """A control plane that runs each remote task when it is asked whether its run has ended."""

    def __init__(self) -> None:
        self.asked: dict[str, Mapping[str, Any]] = {}
        self.ended: dict[str, Mapping[str, Any]] = {}
        self.waited = threading.Event()
        self.lock = threading.Lock()

    def runs(self, flow: Any, parameters: Mapping[str, Any] | None = None, **options: Any) -> TestedRun:
        """A run of a flow whose tasks may run in other pools."""
        return self._with_hosts(lambda: run_flow(flow, parameters, **options))

    def resumes(self, run: TestedRun) -> TestedRun:
        """The next attempt, in which all started runs have ended."""
        for path, call in self.asked.items():
            self.ended[path] = self._execute(run, call["task"])
        return self._with_hosts(run.resume)

    def _with_hosts(self, work: Callable[[], TestedRun]) -> TestedRun:
        made = towpath.test._host_of

        def host_of(*args: Any) -> Host:
            host = made(*args)
            return replace(
                host, pool_of=lambda pool: f"{pool}-of-stage", call=self._call, waits=_Waits(self, host.waits)
            )

        with mock.patch.object(towpath.test, "_host_of", host_of):
            return work()

    def _call(self, path: str, call: Mapping[str, Any]) -> Mapping[str, Any]:
        with self.lock:
            self.asked[path] = call
        return self.ended.get(path, {"runId": path, "state": "pending", "cause": None, "result": None})

    def _execute(self, parent: TestedRun, told: Mapping[str, Any]) -> Mapping[str, Any]:
        made = towpath.test._host_of

        def host_of(*args: Any) -> Host:
            return replace(made(*args), task={"name": told["name"], "input": told["input"]})

        with mock.patch.object(towpath.test, "_host_of", host_of):
            run = run_flow(holder, store=parent.store)
        end = run.records[-1]
        self.child = run
        common = {"runId": "child", "cause": None, "result": None, "error": None}
        return {**common, "state": run.outcome, "result": end.get("result"), "error": end.get("error")}


class _Waits:
    def __init__(self, pools: Pools, waits: Any) -> None:
        self._pools = pools
        self._waits = waits
        self.suspends = True

    def listen(self, listener: Callable[[list[str]], None]) -> None:
        """Nothing ends while the process lives."""

    def ask(self, path: str, wait: Mapping[str, Any]) -> Mapping[str, Any]:
        self._pools.waited.set()
        return self._waits.ask(path, wait)  # type: ignore[no-any-return]


@flow
def holder() -> None:
    raise AssertionError("the whole flow was run")


class Elsewhere(unittest.TestCase):
    def test_calls_in_other_pools_suspend_the_run_and_their_results_come_back(self) -> None:
        pools = Pools()

        @flow
        def body() -> list[float]:
            first = on_gpu([1, 2])
            several = on_gpu.map([[3], [4]], rate=0.5).results()
            return [first.loss, *(model.loss for model in several)]

        first = pools.runs(body)
        self.assertEqual((first.outcome, len(first.waits)), ("suspended", 1))
        (call,) = pools.asked.values()
        self.assertEqual((call["pool"], call["onParentEnd"]), ("gpu-of-stage", "cancel"))
        self.assertEqual((call["task"]["name"], call["task"]["retries"]), ("far-train", 2))
        second = pools.resumes(first)
        self.assertEqual((second.outcome, len(second.waits)), ("suspended", 2))
        self.assertEqual(len(pools.asked), 3)
        third = pools.resumes(second)
        self.assertEqual(third.value, [3.0, 1.5, 2.0], third.error)
        self.assertEqual((pools.child.name, pools.child.outcome), ("far-train", "completed"))
        self.assertEqual([one.path for one in pools.child.tasks], ["far-train:call"])
        # The child is not started again, and its result is a checkpoint of the parent.
        again = pools._with_hosts(third.rerun)
        self.assertEqual((again.value, again.executions), ([3.0, 1.5, 2.0], {}))

    def test_an_async_flow_awaits_several_calls_at_once(self) -> None:
        pools = Pools()

        @flow
        async def body() -> Any:
            far: AsyncTask[[int], int] = score.with_options(pool="gpu")
            one, two = await asyncio.gather(far(1), far.submit(2))  # type: ignore[call-overload]
            return [one, two, await far.map([3, 4]), (await on_gpu.aio([5])).loss]

        run = pools.runs(body)
        for _ in range(3):
            self.assertEqual(run.outcome, "suspended", run.error)
            run = pools.resumes(run)
        self.assertEqual(run.value, [10, 20, [30, 40], 5.0], run.error)
        self.assertEqual(len(pools.asked), 5)

    def test_the_run_is_not_suspended_while_the_flow_works(self) -> None:
        pools = Pools()
        worked: list[bool] = []

        @flow
        def body() -> float:
            future = on_gpu.submit([7])
            # The call has no open work here, but this function has.
            pools.waited.wait(30)
            # Long enough for a run that takes this code for idle to be suspended.
            threading.Event().wait(0.2)
            worked.append(True)
            return future.result().loss

        run = pools.runs(body)
        self.assertEqual((run.outcome, worked), ("suspended", [True]))
        self.assertEqual(pools.resumes(run).value, 7.0)

    def test_an_error_of_the_task_is_raised_with_the_failed_run_as_its_cause(self) -> None:
        pools = Pools()

        @flow
        def body() -> Any:
            try:
                refuse.with_options(pool="gpu")(3)
            except LookupError as error:
                return [str(error), type(error.__cause__).__name__, stack_of(error)]
            return None

        run = pools.resumes(pools.runs(body))
        self.assertEqual(run.value[:2], ["no 3", "ChildFailed"], run.error)
        # The line that failed is in the other process.
        self.assertRegex(run.value[2], r"(?s)ChildFailed: Run .* direct cause .* in refuse\n.*LookupError: no 3$")

        @flow
        def lost() -> Any:
            refuse.with_options(pool="gpu")(4)

        first = Pools().runs(lost)
        dead = Pools()
        dead.ended = {path.path: {"runId": "r", "state": "failed", "cause": "lost"} for path in first.tasks}
        second = dead._with_hosts(first.resume)
        self.assertIsInstance(second.error, ChildFailed)

    def test_what_cannot_run_elsewhere_is_refused(self) -> None:
        @flow
        def hooked() -> None:
            train.with_options(pool="gpu", on_retry=print)([1])

        @flow
        def client() -> None:
            on_gpu.with_options(key="k")(object())  # type: ignore[arg-type]

        self.assertIn("with_options() sets on_retry", str(Pools().runs(hooked).error))
        self.assertIn("cannot be stored", str(Pools().runs(client).error))
        # Also in this process, where no other pool is needed.
        self.assertIn("cannot be stored", str(run_flow(client).error))
        unknown = {"name": "nobody", "input": {}}
        made = towpath.test._host_of
        with mock.patch.object(towpath.test, "_host_of", lambda *args: replace(made(*args), task=unknown)):
            run = run_flow(holder)
        self.assertIn("declares no task of this name", str(run.error))
        for option, value in (("pool", "GPU!"), ("compute", 3), ("on_parent_end", "stay")):
            with self.assertRaisesRegex(InvalidDefinition, option):
                train.with_options(**{option: value})


_TASKS = """
from towpath import task
BIG = "big"

@task(compute={"gpu": 1})
def fit(x): ...

@task(pool="cpu")
def rate(x): ...

@task
def own(x): ...
"""
_FLOW = """
import os
import {tasks} as tasks
from {tasks} import BIG, fit, own
from towpath import flow

@flow
def body(options: dict, fit_here: bool = False):
    fit.with_options(retries=2).with_options(pool=BIG)(1)
    tasks.fit.with_options(pool="fast").map([])
    chosen = "a" if fit_here else "b"
    own.with_options(pool=chosen)(1)

def other(fit, BIG):
    fit.with_options(pool="no")
    own.with_options(pool=BIG)
"""


class Found(unittest.TestCase):
    def test_a_deploy_finds_the_pools_of_each_task(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name).resolve()
            (root / "pools_tasks.py").write_text(_TASKS)
            (root / "pools_flow.py").write_text(_FLOW.format(tasks="pools_tasks"))
            load_module(root, "pools_flow.py")
            self.assertEqual(
                remote_tasks(root),
                {
                    "fit": {"pools": ["big", "fast"], "isOpen": False, "compute": {"gpu": 1}},
                    "own": {"pools": [], "isOpen": True, "compute": None},
                    "rate": {"pools": ["cpu"], "isOpen": False, "compute": None},
                },
            )
            (root / "pools_inside.py").write_text(
                "from towpath import task\ndef make():\n    @task(pool='gpu')\n    def inner(): ...\n    return inner\n"
                "made = make()\n"
            )
            load_module(root, "pools_inside.py")
            with self.assertRaisesRegex(InvalidDefinition, "created inside a function"):
                remote_tasks(root)
