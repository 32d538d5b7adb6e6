"""Set-ups that are torn down however their body ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import time
import unittest
from collections.abc import Callable
from typing import Any

from towpath import InvalidDefinition, flow, suspend, task, with_setup
from towpath._internal.engine import interrupt
from towpath._internal.engine.cancel import Cancel
from towpath._internal.problem import Cancelled
from towpath.test import run_flow

TOLD: list[str] = []


@task
def start(size: int) -> str:
    TOLD.append(f"start {size}")
    return f"cluster {size}"


@task
def stop(name: str) -> None:
    TOLD.append(f"stop {name}")


@task
def train(name: str) -> str:
    TOLD.append(f"train on {name}")
    return name


class WithSetup(unittest.TestCase):
    def setUp(self) -> None:
        TOLD.clear()

    def test_a_later_attempt_sets_up_again_and_reuses_what_the_body_did(self) -> None:
        @flow
        def body(reuse: bool = False) -> Any:
            with with_setup(lambda: start(4), stop, reuse=reuse) as cluster:
                train(cluster)
                return suspend.input("Go on?", bool)

        first = run_flow(body)
        once = ["start 4", "train on cluster 4", "stop cluster 4"]
        self.assertEqual((first.outcome, TOLD), ("suspended", once), first.error)
        second = first.resume(answers={"Go on?": True})
        self.assertEqual((second.value, TOLD), (True, [*once, "start 4", "stop cluster 4"]), second.error)
        TOLD.clear()
        kept = run_flow(body, {"reuse": True})
        self.assertEqual(TOLD, ["start 4", "train on cluster 4"])
        self.assertEqual(kept.resume(answers={"Go on?": True}).outcome, "completed")
        self.assertEqual(TOLD, once)

    def test_the_first_error_counts(self) -> None:
        def broken(name: str) -> None:
            raise OSError("cannot stop")

        @flow
        def body(fails: bool) -> None:
            with with_setup(lambda: start(1), broken):
                if fails:
                    raise ValueError("in the body")

        self.assertEqual(str(run_flow(body, {"fails": False}).error), "cannot stop")
        both = run_flow(body, {"fails": True})
        self.assertEqual(str(both.error), "in the body")
        self.assertTrue(any("The tear-down failed" in line and "cannot stop" in line for line in both.logs))

        with self.assertRaises(InvalidDefinition):
            with_setup(1, stop)  # type: ignore[arg-type]

    def test_async_functions_are_awaited_also_before_a_suspension(self) -> None:
        async def begin() -> str:
            await asyncio.sleep(0)
            return await start.aio(2)

        async def end(name: str) -> None:
            await asyncio.sleep(0)
            await stop.aio(name)

        @flow
        async def body() -> Any:
            async with with_setup(begin, end) as cluster:
                await train.aio(cluster)
                return await suspend.input("Go on?", bool)

        first = run_flow(body)
        once = ["start 2", "train on cluster 2", "stop cluster 2"]
        self.assertEqual((first.outcome, TOLD), ("suspended", once), first.error)
        self.assertEqual(first.resume(answers={"Go on?": True}).value, True)
        self.assertEqual(TOLD, [*once, "start 2", "stop cluster 2"])

    def test_a_tear_down_that_never_ends_is_left(self) -> None:
        async def end(name: str) -> None:
            await asyncio.Event().wait()

        @flow
        async def body() -> None:
            async with with_setup(lambda: 1, end, teardown_timeout=0.05):
                pass

        self.assertIn("The tear-down took longer than 0.05 s.", str(run_flow(body).error))

    def test_a_cancelled_body_is_torn_down_and_the_tear_down_is_not_interrupted(self) -> None:
        interrupt.install()
        cancel = Cancel()
        begun = threading.Event()

        def outer() -> None:
            try:
                begun.set()
                time.sleep(30)
            finally:
                interrupt.in_engine_code(lambda: interrupt.in_author_code(Cancel(), clean, shields=True))

        def clean() -> None:
            time.sleep(0.05)
            TOLD.append("clean")

        threading.Thread(target=lambda: (begun.wait(), cancel.abort(Cancelled("enough"))), daemon=True).start()
        with contextlib.redirect_stdout(io.StringIO()), self.assertRaises(Cancelled):
            interrupt.in_author_code(cancel, outer)
        self.assertEqual(TOLD, ["clean"])

    def test_a_tear_down_has_a_time_limit_in_the_main_thread(self) -> None:
        made: list[Callable[[], Any]] = []

        @flow
        def body() -> None:
            with with_setup(lambda: 1, lambda _: time.sleep(30), teardown_timeout=0.1):
                made.append(lambda: None)

        with contextlib.redirect_stdout(io.StringIO()), self.assertRaisesRegex(Exception, "took longer than 0.1 s"):
            body()
        self.assertEqual(len(made), 1)
