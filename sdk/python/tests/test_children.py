"""Runs of other deployments, and due times."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from towpath import ChildFailed, Due, flow, run_child, run_facts, start_run, suspend, task
from towpath._internal.engine.due import Interval
from towpath.test import run_flow


@dataclass
class Model:
    score: float
    day: date


class Children(unittest.TestCase):
    def test_the_result_of_a_child_comes_back_in_its_type(self) -> None:
        @flow
        def body() -> Any:
            model = run_child("train", {"day": date(2026, 1, 31), "rates": (1, 2)}, returns=Model)
            return [model.score, model.day.day, run_child("train", {"day": "x"}, key="again")]

        def train(day: str, rates: Any = ()) -> Any:
            return {"score": 0.5, "day": day} if rates else None

        run = run_flow(body, children={"train": train})
        self.assertEqual(run.value, [0.5, 31, None], run.error)
        wrong = run_flow(body, children={"train": {"score": "high"}})
        self.assertIn("result.day: is missing", str(wrong.error))
        unknown = run_flow(body)
        self.assertIn('children={"train": ...}', str(unknown.error))

    def test_a_call_is_identified_by_its_parameters_or_its_key(self) -> None:
        asked: list[tuple[str, Any]] = []

        def call(told: Mapping[str, Any]) -> Mapping[str, Any]:
            asked.append((told["onParentEnd"], told["parameters"]))
            return {"runId": f"r{len(asked)}", "state": "pending"}

        @task
        def begin(day: int) -> str:
            return start_run("report", {"day": day}, on_parent_end="cancel")

        @flow
        def body() -> list[Any]:
            ids = begin.map([1, 2]).results()
            return [sorted(ids), start_run("report"), suspend.run("r3")["state"]]

        first = run_flow(body, call=call)
        self.assertEqual((first.outcome, len(first.waits)), ("suspended", 1))
        self.assertEqual(sorted(map(str, asked)), ["('abandon', {})", *(f"('cancel', {{'day': {n}}})" for n in (1, 2))])
        again = first.resume(answers={"r3": {"state": "failed"}, "r4": {"state": "failed"}})
        self.assertEqual(again.value[0], ["r1", "r2"])
        self.assertEqual(again.value[2], "failed")

    def test_a_failed_child_is_an_error_with_its_run_and_cause(self) -> None:
        @flow
        def body() -> Any:
            try:
                run_child("train")
            except ChildFailed as error:
                return [error.state, error.run_cause, str(error)]
            return None

        run = run_flow(body, children={"train": ValueError("no rows")})
        self.assertEqual(run.value[:2], ["failed", "error"])
        self.assertIn('of "train" ended with state failed, cause error', run.value[2])

        @flow
        def late() -> Any:
            return run_child("train")

        def call(told: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"runId": "r1", "state": "pending"}

        ended = run_flow(late, call=call, answers={"r1": {"state": "failed", "cause": "timeout"}})
        self.assertEqual(ended.records[-1]["cause"], "timeout")

    def test_an_async_flow_awaits_several_children(self) -> None:
        @flow
        async def body() -> list[int]:
            return list(await asyncio.gather(*(run_child("square", {"x": x}) for x in (2, 3))))

        self.assertEqual(run_flow(body, children={"square": lambda x: x * x}).value, [4, 9])

    def test_a_task_cannot_wait_for_a_child_and_starts_none(self) -> None:
        @task
        def wrong() -> Any:
            return run_child("train")

        @flow
        def body() -> None:
            wrong()

        run = run_flow(body, children={"train": lambda: self.fail("a run was started")})
        self.assertIn("run_child() was called in the task run wrong", str(run.error))

        @flow
        def strange() -> None:
            run_child("train", {"by": {1, 2}, "client": object()})

        self.assertIn("parameters.client is an instance of object", str(run_flow(strange, children={"train": 1}).error))


class Parts(unittest.TestCase):
    def test_a_run_is_not_suspended_while_a_flow_in_it_works(self) -> None:
        told: list[str] = []

        @flow
        async def inner(name: str) -> str:
            # No call of Towpath: only the flow itself is at work.
            await asyncio.sleep(0.05)
            told.append(name)
            return name

        @flow
        async def body() -> list[Any]:
            return list(await asyncio.gather(inner("a"), suspend.sleep("1h"), inner("b")))

        first = run_flow(body)
        self.assertEqual((first.outcome, told), ("suspended", ["a", "b"]), first.error)
        self.assertEqual(first.resume().value, ["a", None, "b"])

    def test_a_flow_in_a_flow_is_a_task_run_with_its_tasks_below_it(self) -> None:
        @task
        def double(x: int) -> int:
            return 2 * x

        @flow
        def inner(x: int) -> int:
            return double(x)

        @flow
        def body() -> list[int]:
            return [inner(1), inner(x=2), inner(1)]

        run = run_flow(body)
        self.assertEqual(run.value, [2, 4, 2])
        heads = [one.path.split(":")[:2] for one in run.tasks]
        self.assertEqual([head[0] for head in heads], ["flow"] * 6)
        self.assertEqual([one.name for one in run.tasks], ["inner", "double"] * 3)
        again = run.rerun()
        self.assertEqual((again.value, again.executions), ([2, 4, 2], {"inner": 3}))


class Scheduled(unittest.TestCase):
    def test_a_flow_makes_the_parameters_of_a_scheduled_run(self) -> None:
        @flow(due_input=lambda due, given: {"since": due.interval.start.isoformat(), **given})
        def body(since: datetime, size: int = 1) -> Any:
            due = run_facts().due
            return [since, size, None if due is None else due.schedule]

        start, end = (datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2))
        due = Due("nightly", end, Interval(start, end))
        run = run_flow(body, {"size": 4}, due=due)
        self.assertEqual(run.value, [start, 4, "nightly"], run.error)
        plain = run_flow(body, {"since": end.isoformat()})
        self.assertEqual(plain.value, [end, 1, None])
