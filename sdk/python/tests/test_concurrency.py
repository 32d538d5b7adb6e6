"""Calls beside each other: threads, coroutines, time limits, cancellations and hooks."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
import unittest
from collections.abc import Iterator
from typing import Any

from towpath import Cancelled, TaskTimeout, flow, suspend, task
from towpath._internal.engine import interrupt
from towpath._internal.engine.cancel import Cancel
from towpath._internal.engine.interrupt import in_author_code, in_engine_code
from towpath._internal.engine.timers import Timers
from towpath._internal.store.hashes import PLAIN_HASHES
from towpath._internal.task.input_hash import hash_input
from towpath.test import run_flow


@task
def same(x: Any) -> Any:
    return x


@task
async def fetch(x: int) -> int:
    await asyncio.sleep(0)
    return x


def outcomes(run: Any) -> int:
    return sum(record["type"] == "outcome" for record in run.records)


class Maps(unittest.TestCase):
    def test_items_may_come_from_tasks(self) -> None:
        def pages() -> Iterator[int]:
            for page in range(3):
                yield same(page)

        @flow
        def body() -> list[int]:
            return same.map(pages()).results()

        self.assertEqual(run_flow(body).value, [0, 1, 2])

    def test_equal_keys_are_numbered_in_the_order_of_the_items(self) -> None:
        @task(map_key=lambda x: "k" if x % 2 else "j", concurrency=10)
        def slow(x: int) -> int:
            time.sleep(0.001 * (x % 3))
            return x

        @flow
        def body() -> list[int]:
            return slow.map(range(40)).results()

        for _ in range(5):
            first = run_flow(body, kill_after=20)
            second = first.resume()
            self.assertEqual(second.value, list(range(40)))

    def test_equal_arguments_have_equal_paths_however_they_are_given(self) -> None:
        @task
        def add(x: int, y: int, z: int = 1) -> int:
            return x + y + z

        @flow
        def body() -> list[Any]:
            return [add.map([1], 2).results(), add.map([1], y=2).results(), add.map([1], z=1, y=2).results()]

        paths = [one.path.split("/")[0].split("#")[0] for one in run_flow(body).tasks]
        self.assertEqual(len(set(paths)), 1, paths)

    def test_maps_that_nobody_reads_run_whole_and_keep_no_thread(self) -> None:
        @flow
        def body() -> int:
            for start in range(4):
                same.map(range(start, start + 100))
            time.sleep(0.05)
            same.submit("beside")
            return 1

        run = run_flow(body)
        self.assertEqual((run.value, run.executions), (1, {"same": 401}))

    def test_calls_see_the_context_variables_of_their_caller(self) -> None:
        name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")

        @task
        def read(x: int) -> str:
            return name.get()

        @flow
        def body() -> list[str]:
            name.set("mine")
            futures = [read.submit(x) for x in range(50)]
            return [future.result() for future in futures] + read.map(range(100, 150)).results()

        self.assertEqual(set(run_flow(body).value), {"mine"})


class Async(unittest.TestCase):
    def test_a_branch_beside_a_wait_goes_on_to_its_end(self) -> None:
        @flow
        async def body() -> Any:
            async def branch() -> None:
                for x in range(100):
                    await fetch(x)

            await asyncio.gather(branch(), suspend.input("a?"), suspend.input("b?"))

        run = run_flow(body)
        self.assertEqual((run.outcome, run.executions["fetch"]), ("suspended", 100))
        self.assertEqual(outcomes(run), 1)

    def test_an_answered_branch_goes_on_although_another_waits(self) -> None:
        @flow
        async def body() -> Any:
            async def branch() -> None:
                await suspend.input("a?")
                await fetch(1)

            await asyncio.gather(branch(), suspend.input("b?"))

        run = run_flow(body, answers={"a?": True})
        self.assertEqual((run.outcome, run.executions), ("suspended", {"fetch": 1}))

    def test_the_run_waits_for_calls_that_the_flow_did_not_await(self) -> None:
        @task
        async def slow(x: int) -> int:
            await asyncio.sleep(0.05)
            return x

        @flow
        async def body() -> int:
            asyncio.ensure_future(slow(1))  # noqa: RUF006 -- the flow awaits it no more
            return 1

        self.assertEqual([one.state for one in run_flow(body).tasks], ["completed"])

    def test_a_coroutine_that_ignores_its_time_limit_is_left(self) -> None:
        over: list[str] = []

        @task(timeout=0.02, timeout_grace=0.02)
        async def stubborn() -> None:
            while not over:
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    pass

        @flow
        async def body() -> str:
            try:
                await stubborn()
            except TaskTimeout:
                over.append("x")
                return "left"
            return "never"

        run = run_flow(body)
        self.assertEqual(run.value, "left")
        self.assertIn("still running", run.logs[0])

    def test_a_call_that_asyncio_cancels_has_one_end(self) -> None:
        @task
        async def slow() -> None:
            await asyncio.sleep(60)

        @flow
        async def body() -> str:
            try:
                await asyncio.wait_for(slow(), 0.02)
            except asyncio.TimeoutError:
                return "late"
            return "never"

        run = run_flow(body)
        self.assertEqual(run.value, "late")
        self.assertEqual([one["move"] for one in run.records if one["type"] == "task"], ["queue", "begin", "cancel"])


class Limits(unittest.TestCase):
    def test_a_thread_that_ignores_its_time_limit_is_left(self) -> None:
        over = threading.Event()

        @task(timeout=0.02, timeout_grace=0.02, retries=1)
        def slow() -> None:
            over.wait(20)

        @flow
        def body() -> str:
            try:
                slow.submit().result()
            except TaskTimeout:
                return "left"
            return "never"

        run = run_flow(body)
        over.set()
        self.assertEqual((run.value, run.executions), ("left", {"slow": 2}))
        self.assertIn("still running", run.logs[0])

    def test_calls_that_a_completed_task_did_not_wait_for_go_on(self) -> None:
        @task
        def slow(x: int) -> int:
            time.sleep(0.05)
            return x

        @task
        def outer() -> None:
            slow.submit(1)

        @flow
        def body() -> None:
            outer()

        self.assertEqual({one.state for one in run_flow(body).tasks}, {"completed"})

    def test_timers_that_were_taken_back_leave_no_memory(self) -> None:
        timers = Timers()
        for _ in range(20_000):
            timers.after(3_600_000, lambda: None)()
        self.assertLess(len(timers._due), 5000)


class PartsOfARun(unittest.TestCase):
    def test_a_flow_in_a_flow_has_the_path_of_its_parameters_as_an_object(self) -> None:
        @flow
        def inner(value: int = 4, more: str = "x") -> int:
            return int(same(value)) + 1

        @flow
        def outer() -> list[int]:
            return [inner(), inner(4), inner(more="x", value=4)]

        run = run_flow(outer)
        self.assertEqual(run.value, [5, 5, 5])
        own = hash_input("t", [{"value": 4, "more": "x"}], PLAIN_HASHES)
        paths = [one.path for one in run.tasks if one.name == "inner"]
        self.assertEqual(paths, [f"flow:inner:{own}", f"flow:inner:{own}#2", f"flow:inner:{own}#3"])


class Hooks(unittest.TestCase):
    def test_a_hook_that_exits_or_fails_changes_no_outcome(self) -> None:
        for hook in (lambda _: sys.exit(3), lambda _: 1 / 0):

            @flow(on_completion=hook)
            def body() -> int:
                return 1

            run = run_flow(body)
            self.assertEqual((run.value, outcomes(run)), (1, 1))
            self.assertIn("The hook for completed failed", run.logs[0])

    def test_a_run_name_that_fails_is_a_warning(self) -> None:
        @flow(run_name="{missing}")
        def body() -> int:
            return 1

        run = run_flow(body)
        self.assertEqual((run.value, run.name), (1, None))
        self.assertIn("run_name failed", run.logs[0])


@unittest.skipIf(threading.current_thread() is not threading.main_thread(), "needs the main thread")
class Interrupts(unittest.TestCase):
    def setUp(self) -> None:
        interrupt.install()

    def test_a_request_ends_a_sleep_once_and_clean_up_goes_on(self) -> None:
        cancel = Cancel()
        done: list[str] = []

        def author() -> None:
            threading.Timer(0.05, lambda: cancel.abort(Cancelled("enough"))).start()
            try:
                time.sleep(10)
            finally:
                in_engine_code(lambda: None)
                done.append("clean")

        with self.assertRaises(Cancelled):
            in_author_code(cancel, author)
        self.assertEqual(done, ["clean"])

    def test_it_comes_again_after_the_grace(self) -> None:
        cancel = Cancel()
        caught: list[str] = []

        def author() -> None:
            threading.Timer(0.05, lambda: cancel.abort(TaskTimeout("slow", 1))).start()
            for _ in range(2):
                try:
                    time.sleep(10)
                except TaskTimeout:
                    caught.append("again")

        in_author_code(cancel, author, 100)
        self.assertEqual(len(caught), 2)

    def test_an_outer_request_ends_both_functions(self) -> None:
        outer = Cancel()
        inner = Cancel(outer)
        ended: list[str] = []

        def inside() -> None:
            try:
                time.sleep(10)
            except TaskTimeout:
                ended.append("inner")

        def outside() -> None:
            threading.Timer(0.05, lambda: outer.abort(TaskTimeout("outer", 50))).start()
            in_engine_code(lambda: in_author_code(inner, inside))
            ended.append("never")

        with self.assertRaises(TaskTimeout):
            in_author_code(outer, outside)
        self.assertEqual(ended, ["inner"])

    def test_waiting_for_a_thread_ends_with_a_request(self) -> None:
        over = threading.Event()

        @task
        def blocked() -> None:
            over.wait(20)

        @task(timeout=0.05)
        def outer() -> None:
            blocked.submit().result()

        @flow
        def body() -> str:
            try:
                outer()
            except TaskTimeout:
                over.set()
                return "late"
            return "never"

        self.assertEqual(run_flow(body).value, "late")


if __name__ == "__main__":
    unittest.main()
