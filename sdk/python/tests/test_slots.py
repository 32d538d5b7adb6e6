"""Slots of limits: a control plane in a test gives them out."""

from __future__ import annotations

import threading
import time
import unittest
from collections.abc import Mapping
from typing import Any

from towpath import SlotsHeld, flow, task
from towpath._internal.problem import CallRefused
from towpath.test import run_flow


class Limits:
    """The limits of one run, as in the control plane. Tags have limits called `tag:NAME`."""

    def __init__(self, **free: int) -> None:
        self.free = {name.replace("tag_", "tag:"): slots for name, slots in free.items()}
        self.held: dict[str, list[str]] = {}
        self.seen: list[str] = []
        self._changed = threading.Condition()

    def call(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._changed:
            self.seen.append(asked["kind"])
            if asked["kind"] == "give-back":
                for name in self.held.pop(asked["keys"][0], []):
                    self.free[name] += 1
                self._changed.notify_all()
                return {}
            (request,) = asked["requests"]
            names = [one["name"] for one in request["limits"] for _ in range(one["slots"])]
            names += [f"tag:{tag}" for tag in request.get("tags", ()) if f"tag:{tag}" in self.free]
            if any(name not in self.free for name in names):
                raise CallRefused("limit-not-found", "There is no such limit.")
            granted = self._changed.wait_for(lambda: all(self.free[one] >= names.count(one) for one in names), 0.05)
            if not granted:
                return {"granted": []}
            for name in names:
                self.free[name] -= 1
            if names:
                self.held[request["key"]] = names
            return {"granted": [request["key"]], "withoutSlots": [] if names else [request["key"]]}

    def until_returned(self) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self.held, 5)


class Slots(unittest.TestCase):
    def _most(self, plane: Limits, **options: Any) -> int:
        running, most, lock = [0], [0], threading.Lock()

        @task(concurrency=6, **options)
        def load(_n: int) -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.02)
            with lock:
                running[0] -= 1

        @flow
        def body() -> None:
            load.map(range(6)).results()

        run = run_flow(body, call=plane.call)
        self.assertEqual(run.outcome, "completed", run.error)
        self.assertTrue(plane.until_returned())
        return most[0]

    def test_tries_wait_for_the_slots_of_limits_and_tags(self) -> None:
        self.assertEqual(self._most(Limits(db=2), limits=["db"]), 2)
        self.assertEqual(self._most(Limits(db=4), limits=[("db", 2)]), 2)
        self.assertEqual(self._most(Limits(tag_etl=1), tags=["etl", "free"]), 1)

    def test_a_tag_without_a_limit_costs_one_request(self) -> None:
        @task(tags=["label"])
        def label(n: int) -> int:
            return n

        @flow
        def body() -> int:
            return sum(label(n) for n in range(20))

        limits = Limits()
        self.assertEqual(run_flow(body, call=limits.call).value, 190)
        self.assertEqual(limits.seen, ["take-slots"])

    def test_a_slot_counts_for_everything_inside_its_holder(self) -> None:
        @task(tags=["db"])
        def step(n: int) -> int:
            return n

        @task(tags=["db"])
        def copy(n: int) -> int:
            return step(n)

        @task(limits=["db"])
        def other() -> None: ...

        @task(tags=["db"])
        def mixed() -> str:
            try:
                other()
            except SlotsHeld as error:
                return str(error)
            return "never"

        @flow
        def body() -> Any:
            return [*copy.map([1, 2, 3]).results(), mixed()]

        limits = Limits(tag_db=1, db=1)
        *copies, told = run_flow(body, call=limits.call).value
        self.assertEqual(copies, [1, 2, 3])
        self.assertIn('Give "mixed" the limits and tags of "other"', told)

    def test_an_unknown_limit_fails_the_task_and_without_a_worker_nothing_is_limited(self) -> None:
        @task(limits=["nope"])
        def load() -> int:
            return 1

        @flow
        def body() -> int:
            return load()

        self.assertEqual(type(run_flow(body, call=Limits().call).error).__name__, "CallRefused")
        self.assertEqual(run_flow(body).value, 1)

    def test_a_cancelled_wait_leaves_the_line(self) -> None:
        @task(limits=["db"], timeout=30)
        def load() -> int:
            return 1

        @flow
        async def body() -> int:
            import asyncio

            try:
                return await asyncio.wait_for(load.aio(), 0.2)
            except asyncio.TimeoutError:
                limits.free["db"] = 1
                return -1

        limits = Limits(db=0)
        self.assertEqual(run_flow(body, call=limits.call).value, -1)


if __name__ == "__main__":
    unittest.main()
