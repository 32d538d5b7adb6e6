"""Tasks that ignore their time limit, where the run ends for it."""

from __future__ import annotations

import asyncio
import threading
import time
import unittest
from typing import Any

from towpath import TaskTimeout, flow, is_cancelled, run_facts, task
from towpath.test import run_flow


@task
def same(x: Any) -> Any:
    return x


class IfIgnored(unittest.TestCase):
    def test_a_run_ends_for_a_thread_that_ignores_it_if_the_task_says_so(self) -> None:
        over = threading.Event()
        seen: list[Any] = []

        @task(timeout=0.02, timeout_grace=0.02, retries=3, if_ignored="kill")
        def deaf() -> str:
            if run_facts().attempt == 1:
                over.wait(20)
            return "done"

        @flow(on_failure=seen.append)
        def body() -> Any:
            same(1)
            try:
                result = deaf()
            except TaskTimeout as error:
                result = error
            same(2)
            return result

        first = run_flow(body)
        over.set()
        assert isinstance(first.error, TaskTimeout)
        self.assertTrue(first.error.ignored)
        self.assertRegex(str(first.error), r'task "deaf" .* 20 ms and .* within 20 ms .* Ask is_cancelled\(\)')
        self.assertEqual(seen, [first.error])
        self.assertEqual((first.records[-1]["outcome"], first.records[-1]["cause"]), ("failed", "timeout"))
        self.assertEqual([(one.name, one.state) for one in first.tasks], [("same", "completed"), ("deaf", "failed")])
        second = first.resume()
        self.assertEqual((second.value, second.executions), ("done", {"same": 2, "deaf": 2}))

    def test_a_run_ends_for_a_coroutine_that_ignores_it_if_the_task_says_so(self) -> None:
        over: list[str] = []

        @task(timeout=0.02, timeout_grace=0.02, if_ignored="kill")
        async def deaf() -> None:
            while not over:
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    pass

        @flow
        async def body() -> str:
            try:
                await deaf()
            except TaskTimeout:
                pass
            return "caught"

        run = run_flow(body)
        over.append("x")
        assert isinstance(run.error, TaskTimeout)
        self.assertTrue(run.error.ignored)

    def test_a_task_that_ends_within_its_grace_is_tried_again(self) -> None:
        @task(timeout=0.02, timeout_grace=60, retries=1, if_ignored="kill")
        def hears() -> None:
            while not is_cancelled():
                time.sleep(0.005)

        @flow
        def body() -> None:
            hears()

        run = run_flow(body)
        assert isinstance(run.error, TaskTimeout)
        self.assertEqual((run.error.ignored, run.executions), (False, {"hears": 2}))


if __name__ == "__main__":
    unittest.main()
