"""Calls of `async def` tasks beside each other, and of plain tasks from async code."""

from __future__ import annotations

import asyncio
import gc
import threading
import unittest
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

from towpath import Cancelled, InvalidDefinition, TowpathError, flow, keep, suspend, task
from towpath._internal.problem import AsyncInSync, LoopRunning
from towpath.test import run_flow


@task
async def double(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


@task
def plain(x: int) -> int:
    return 2 * x


@task
async def refuse(x: int) -> int:
    if x == 2:
        raise ValueError("two")
    return x


class Submit(unittest.TestCase):
    def test_submitted_calls_run_beside_each_other(self) -> None:
        both = asyncio.Event

        @task
        async def meet(mine: Any, other: Any) -> str:
            mine.set()
            await other.wait()
            return "met"

        @flow
        async def body() -> list[str]:
            one, two = both(), both()
            first = meet.with_options(key="1").submit(one, two)
            second = meet.with_options(key="2").submit(two, one)
            return [await first, await second]

        self.assertEqual(run_flow(body).value, ["met", "met"])

    def test_the_run_waits_for_calls_that_nobody_awaits(self) -> None:
        @flow
        async def body() -> None:
            double.submit(1)
            plain.submit(1)
            refuse.submit(2)

        run = run_flow(body)
        self.assertEqual(run.outcome, "completed")
        self.assertEqual(
            {one.name: one.state for one in run.tasks},
            {"double": "completed", "plain": "completed", "refuse": "failed"},
        )

    def test_plain_calls_are_awaited_too(self) -> None:
        @flow
        async def body() -> list[Any]:
            future = plain.submit(1)
            return [await future, await plain.aio(2), await plain.map([3, 4]), [x async for x in plain.map([5, 6])]]

        self.assertEqual(run_flow(body).value, [2, 4, [6, 8], [10, 12]])

    def test_calls_are_named_in_the_order_of_the_code_and_not_of_their_awaits(self) -> None:
        @flow
        async def body() -> list[int]:
            one, two = plain.aio(1), plain.aio(2)
            return [await two, await one]

        first = run_flow(body, kill_after=1)
        second = first.resume()
        self.assertEqual(second.value, [4, 2])

    def test_a_call_that_nobody_awaits_is_named_by_the_warning(self) -> None:
        @flow
        async def body() -> list[str]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                double(1)
                gc.collect()
            return [str(one.message) for one in caught]

        self.assertEqual(run_flow(body).value, ["coroutine 'task double' was never awaited"])

    def test_a_call_that_is_cancelled_before_it_begins_leaves_nothing_open(self) -> None:
        @flow
        async def body() -> Any:
            future = double.submit(1)
            try:
                await asyncio.wait_for(future, 0)
            except asyncio.TimeoutError:
                pass
            return await double(1)

        self.assertEqual(run_flow(body).outcome, "completed")


class Maps(unittest.TestCase):
    def test_results_are_in_the_order_of_the_items(self) -> None:
        @task(concurrency=5)
        async def slow(x: int) -> int:
            for _ in range(x % 3):
                await asyncio.sleep(0)
            return x

        @flow
        async def body() -> list[Any]:
            return [
                await slow.map(range(40)),
                [x async for x in slow.map(range(100, 140))],
                [one.value for one in await slow.map(range(200, 240)).settled()],
            ]

        run = run_flow(body)
        self.assertEqual(run.value, [list(range(40)), list(range(100, 140)), list(range(200, 240))])

    def test_no_more_calls_run_and_no_more_items_are_taken_than_the_window(self) -> None:
        running, most, taken = [0], [0], [0]

        @task(concurrency=3, map_key=str)
        async def one(x: int) -> int:
            running[0] += 1
            most[0] = max(most[0], running[0])
            await asyncio.sleep(0)
            running[0] -= 1
            return x

        def items() -> Iterator[int]:
            for x in range(1000):
                taken[0] += 1
                yield x

        @flow
        async def body() -> int:
            async for _ in one.map(items()):
                for _ in range(50):
                    await asyncio.sleep(0)
                break
            return taken[0]

        run = run_flow(body)
        self.assertLessEqual(most[0], 3)
        self.assertLessEqual(run.value, 7)

    def test_items_may_come_from_an_async_source_that_never_waits(self) -> None:
        async def source() -> AsyncIterator[int]:
            for x in range(30):
                yield x

        async def pages() -> AsyncIterator[int]:
            for x in range(3):
                yield await double(x)

        @flow
        async def body() -> list[Any]:
            return [await double.map(source()), await double.map(pages())]

        self.assertEqual(run_flow(body).value, [[2 * x for x in range(30)], [0, 4, 8]])

    def test_the_first_failure_starts_no_more_and_is_raised(self) -> None:
        @flow
        async def body() -> list[int]:
            return await refuse.with_options(concurrency=1).map(range(100))

        run = run_flow(body)
        self.assertEqual((run.outcome, str(run.error)), ("failed", "two"))
        self.assertLess(run.executions["refuse"], 6)

    def test_an_error_of_the_source_is_raised(self) -> None:
        def items() -> Iterator[int]:
            yield 1
            raise OSError("no more pages")

        @flow
        async def body() -> list[int]:
            return await double.map(items())

        self.assertEqual(str(run_flow(body).error), "no more pages")

    def test_a_map_that_nobody_awaits_runs_whole(self) -> None:
        @flow
        async def body() -> int:
            double.with_options(concurrency=2).map(range(50))
            return 1

        run = run_flow(body)
        self.assertEqual((run.value, run.executions), (1, {"double": 50}))

    def test_calls_with_earlier_results_let_other_coroutines_run(self) -> None:
        turns: list[str] = []

        async def beside() -> None:
            while True:
                turns.append("")
                await asyncio.sleep(0)

        @flow
        async def body() -> None:
            other = asyncio.create_task(beside())
            for index in range(20):
                await double(index)
            turns.append("done")
            other.cancel()
            await plain.aio(1)

        first = run_flow(body, kill_after="plain")
        self.assertEqual(first.outcome, "killed")
        turns.clear()
        second = first.resume()
        self.assertEqual((second.outcome, second.executions), ("completed", {"double": 20, "plain": 1}))
        self.assertGreaterEqual(turns.index("done"), 19)

    def test_a_resumed_map_calls_only_what_had_not_completed(self) -> None:
        @flow
        async def body() -> list[int]:
            return await double.with_options(concurrency=2).map(range(20))

        first = run_flow(body, kill_after=8)
        second = first.resume()
        self.assertEqual(second.value, [2 * x for x in range(20)])
        self.assertLessEqual(second.executions["double"], 22)

    def test_a_wait_after_a_map_suspends_the_run(self) -> None:
        @flow
        async def body() -> Any:
            found = await double.map(range(3))
            return [found, await suspend.input("ok?")]

        first = run_flow(body)
        self.assertEqual((first.outcome, first.executions), ("suspended", {"double": 3}))
        self.assertEqual(first.resume(answers={"ok?": True}).value, [[0, 2, 4], True])

    def test_a_cancelled_map_cancels_its_calls(self) -> None:
        @task
        async def stuck(x: int) -> None:
            await asyncio.sleep(600)

        @flow
        async def body() -> str:
            try:
                await asyncio.wait_for(stuck.map([1, 2]), 0.02)
            except asyncio.TimeoutError:
                return "late"
            return "never"

        run = run_flow(body)
        self.assertEqual(run.value, "late")
        self.assertEqual({one.state for one in run.tasks}, {"cancelled"})

    def test_the_results_are_taken_once(self) -> None:
        @flow
        async def body() -> None:
            calls = double.map([1])
            await calls
            await calls

        self.assertIsInstance(run_flow(body).error, InvalidDefinition)


class Refusals(unittest.TestCase):
    def test_an_async_task_in_a_plain_flow_is_refused_at_the_call(self) -> None:
        for call in (lambda: double(1), lambda: double.submit(1), lambda: double.map([1])):

            @flow
            def body() -> Any:
                return call()

            run = run_flow(body)
            self.assertIsInstance(run.error, AsyncInSync)
            self.assertIn('Task "double" is an async def', str(run.error))

    def test_an_async_flow_in_a_running_loop_is_refused(self) -> None:
        @flow
        async def body() -> int:
            return 1

        async def main() -> None:
            body()

        with self.assertRaises(LoopRunning) as caught:
            asyncio.run(main())
        self.assertIn("asyncio.to_thread(body", str(caught.exception))
        self.assertIsInstance(caught.exception, TowpathError)

    def test_a_loop_of_the_author_in_a_plain_flow_runs_plain_tasks(self) -> None:
        @flow
        def body() -> list[int]:
            async def main() -> list[int]:
                return [await plain.aio(1), plain(2)]

            return asyncio.run(main())

        self.assertEqual(run_flow(body).value, [2, 4])

    def test_a_generator_is_no_task(self) -> None:
        def items() -> Iterator[int]:
            yield 1

        async def more() -> AsyncIterator[int]:
            yield 1

        for fn in (items, more):
            with self.assertRaisesRegex(InvalidDefinition, "is a generator"):
                task(fn)  # type: ignore[call-overload]

    def test_a_call_in_an_async_task_is_below_it(self) -> None:
        @task
        async def outer(x: int) -> int:
            keep("step", x)
            return await double(x) + plain(x)

        @flow
        async def body() -> int:
            return await outer(1)

        run = run_flow(body)
        self.assertEqual(run.value, 4)
        paths = [
            record["path"] for record in run.records if record["type"] == "kept" or record.get("move") == "complete"
        ]
        self.assertEqual(paths[-1].count("/"), 0)
        for path in paths[:-1]:
            self.assertTrue(path.startswith(f"{paths[-1]}/"), path)

    def test_a_cancelled_run_ends_its_maps(self) -> None:
        begun = threading.Event()

        @task
        async def stuck(x: int) -> None:
            begun.set()
            await asyncio.sleep(600)

        @task(timeout=0.05)
        async def outer() -> None:
            await stuck.map(range(100))

        @flow
        async def body() -> str:
            try:
                await outer()
            except (TowpathError, Cancelled):
                return "ended"
            return "never"

        run = run_flow(body)
        self.assertEqual((run.value, begun.is_set()), ("ended", True))


if __name__ == "__main__":
    unittest.main()
