"""Flows that are killed, suspended, resumed and rerun."""

from __future__ import annotations

import asyncio
import random as chance
import time
import unittest
from typing import Any

from towpath import NonRetryable, TaskTimeout, flow, keep, kept, now, random, suspend, task, uuid
from towpath.test import EXPIRED, run_flow


class Resume(unittest.TestCase):
    def test_completed_tasks_are_not_called_again(self) -> None:
        calls: list[str] = []

        @task
        def load(path: str) -> list[int]:
            calls.append(path)
            return [1, 2]

        @task
        def double(x: int) -> int:
            calls.append(f"double {x}")
            return 2 * x

        @flow
        def body(path: str) -> list[int]:
            return double.map(load(path)).results()

        first = run_flow(body, {"path": "a"}, kill_after="load")
        self.assertEqual(first.outcome, "killed")
        second = first.resume()
        self.assertEqual((second.outcome, second.value), ("completed", [2, 4]))
        self.assertEqual(sorted(calls), ["a", "double 1", "double 2"])
        third = second.rerun({"path": "b"})
        self.assertEqual(third.value, [2, 4])
        self.assertEqual(third.executions, {"load": 1})

    def test_a_caught_failure_is_a_result_and_the_one_that_failed_the_run_is_called_again(self) -> None:
        calls: list[str] = []

        @task
        def charge() -> None:
            calls.append("charge")
            raise ValueError("no funds")

        @task
        def publish() -> str:
            calls.append("publish")
            if calls.count("publish") == 1:
                raise RuntimeError("no press")
            return "done"

        @flow
        def body() -> str:
            try:
                charge()
            except ValueError as error:
                return f"{error}, {publish()}"
            return "never"

        first = run_flow(body)
        self.assertEqual((first.outcome, str(first.error)), ("failed", "no press"))
        self.assertEqual(first.records[-1]["failedBy"], ["publish"])
        self.assertEqual(first.resume().value, "no funds, done")
        self.assertEqual(calls, ["charge", "publish", "publish"])

    def test_retries_hooks_and_errors_that_are_not_retried(self) -> None:
        told: list[Any] = []

        @task(retries=2, on_retry=lambda error, tries: told.append(tries))
        def flaky() -> int:
            if len(told) < 2:
                raise ConnectionError
            return 7

        @task(retries=5, retry_on=ConnectionError)
        def wrong() -> None:
            raise ValueError

        @task(retries=5)
        def final() -> None:
            raise NonRetryable("enough")

        @flow
        def body() -> int:
            for one in (wrong, final):
                try:
                    one()
                except Exception:
                    pass
            return flaky()

        run = run_flow(body)
        self.assertEqual(run.value, 7)
        self.assertEqual(run.executions, {"wrong": 1, "final": 1, "flaky": 3})
        self.assertEqual(told, [1, 2])

    def test_progress_is_kept_for_a_later_try(self) -> None:
        done: list[int] = []

        @task(retries=1)
        def load(count: int) -> int:
            for step in range(kept("step", 0), count):
                if step == 3 and len(done) == 3:
                    done.append(-1)
                    raise OSError
                done.append(step)
                keep("step", step + 1)
            return len(done)

        @flow
        def body() -> int:
            return load(5)

        run_flow(body)
        self.assertEqual(done, [0, 1, 2, -1, 3, 4])

    def test_values_are_the_same_in_every_attempt(self) -> None:
        seen: list[Any] = []

        @task
        def stamp(*values: object) -> None:
            pass

        @flow
        def body() -> None:
            drawn = (now(), random(), random(), uuid(), uuid())
            seen.append(drawn)
            stamp(*drawn)
            if len(seen) == 1:
                raise RuntimeError

        run = run_flow(body).resume()
        self.assertEqual(run.executions, {"stamp": 1})
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(len(set(seen[0])), 5)

    def test_submitted_calls_run_beside_each_other_and_the_run_waits_for_them(self) -> None:
        @task
        def slow(x: int) -> int:
            time.sleep(0.01)
            return x

        @task
        def nested(x: int) -> int:
            return sum(slow.submit(x * 10 + y).result() for y in range(3)) + sum(slow.map([x, x + 1]).results())

        @flow
        def body() -> int:
            futures = [nested.submit(x) for x in range(80)]
            slow.submit(1000)
            return sum(future.result() for future in futures)

        run = run_flow(body)
        self.assertEqual(run.value, sum(30 * x + 3 + 2 * x + 1 for x in range(80)))
        self.assertEqual({one.state for one in run.tasks}, {"completed"})


class Map(unittest.TestCase):
    def test_results_come_in_order_and_the_window_is_bounded(self) -> None:
        taken: list[int] = []

        def items() -> Any:
            for x in range(1000):
                taken.append(x)
                yield x

        @task(concurrency=4)
        def double(x: int) -> int:
            return 2 * x

        @flow
        def body() -> list[int]:
            most = 0
            out = []
            for result in double.map(items()):
                most = max(most, len(taken) - len(out))
                out.append(result)
            return [most, *out]

        most, *out = run_flow(body).value
        self.assertEqual(out, [2 * x for x in range(1000)])
        self.assertLessEqual(most, 9)

    def test_the_first_error_ends_the_map_and_settled_has_all(self) -> None:
        @task(concurrency=2)
        def odd(x: int) -> int:
            if x == 3:
                raise ValueError(x)
            return x

        @flow
        def body() -> Any:
            settled = odd.map([1, 3, 5]).settled()
            told = [None if one.error is None else str(one.error) for one in settled]
            try:
                # One at a time: with two, the other thread goes on while this call is failing.
                odd.with_options(concurrency=1).map(range(3, 1000)).results()
            except ValueError:
                return told

        run = run_flow(body)
        self.assertEqual(run.value, [None, "3", None])
        self.assertEqual(run.executions["odd"], 4)

    def test_constants_and_keys(self) -> None:
        @task
        def add(x: int, y: int, z: int = 1) -> int:
            return x + y + z

        @flow
        def body() -> list[int]:
            return add.with_options(map_key=str).map({5, 7}, 10, z=1).results()

        run = run_flow(body)
        self.assertEqual(sorted(run.value), [16, 18])
        self.assertEqual(sorted(one.path.split("/")[1] for one in run.tasks), ["5", "7"])


class Suspend(unittest.TestCase):
    def test_a_question_ends_the_process_and_the_answer_goes_on(self) -> None:
        finals: list[str] = []

        @task
        def work() -> int:
            return 1

        @flow
        def body() -> Any:
            try:
                work()
                answer = suspend.input("Publish?", bool)
                suspend.sleep("2h")
                return answer
            finally:
                finals.append("finally")

        first = run_flow(body)
        self.assertEqual((first.outcome, first.waits), ("suspended", ("wait:input:Publish?",)))
        second = first.resume(answers={"Publish?": True})
        self.assertEqual((second.outcome, second.waits), ("suspended", ("wait:for:7200000",)))
        self.assertEqual(finals, [])
        third = second.resume()
        self.assertEqual((third.value, third.executions), (True, {"work": 1}))
        self.assertEqual(finals, ["finally"])

    def test_a_deadline_and_a_wrong_answer_are_typed_errors(self) -> None:
        @flow
        def body() -> Any:
            return suspend.event("paid", int, deadline="1h")

        self.assertEqual(type(run_flow(body, answers={"paid": EXPIRED}).error).__name__, "WaitExpired")
        self.assertEqual(type(run_flow(body, answers={"paid": "x"}).error).__name__, "InvalidAnswer")
        self.assertEqual(run_flow(body, answers={"paid": 3}).value, 3)

    def test_in_a_task_it_is_refused(self) -> None:
        @task
        def ask() -> None:
            suspend.input("Publish?")

        @flow
        def body() -> None:
            ask()

        self.assertEqual(type(run_flow(body).error).__name__, "SuspendInTask")


class Async(unittest.TestCase):
    def test_tasks_are_awaited_beside_each_other(self) -> None:
        @task(retries=1)
        async def fetch(x: int) -> int:
            await asyncio.sleep(0.01)
            return x

        @task
        def plain(x: int) -> int:
            return x + 1

        @flow
        async def body() -> Any:
            got = await asyncio.gather(*(fetch(x) for x in range(50)), plain.aio(7))
            return [sum(got), plain(1), await suspend.input("ok?", bool)]

        first = run_flow(body)
        self.assertEqual((first.outcome, first.waits), ("suspended", ("wait:input:ok?",)))
        second = first.resume(answers={"ok?": False})
        self.assertEqual(second.value, [sum(range(50)) + 8, 2, False])
        self.assertEqual(second.executions, {"fetch": 50, "plain": 2})

    def test_a_time_limit_cancels_a_coroutine(self) -> None:
        @task(timeout=0.05)
        async def slow() -> None:
            await asyncio.sleep(60)

        @flow
        async def body() -> None:
            await slow()

        run = run_flow(body)
        self.assertIsInstance(run.error, TaskTimeout)
        self.assertEqual(run.records[-1]["cause"], "timeout")

    def test_in_a_plain_flow_it_is_a_typed_error(self) -> None:
        @task
        async def fetch() -> None: ...

        @flow
        def body() -> None:
            fetch()

        self.assertEqual(type(run_flow(body).error).__name__, "AsyncInSync")


class Property(unittest.TestCase):
    """Random branches, killed anywhere: only what was in flight is called twice, and the value is the same."""

    def test_random_programs(self) -> None:
        for seed in range(60):
            with self.subTest(seed=seed):
                self._one(chance.Random(seed))

    def _one(self, dice: chance.Random) -> None:
        program = [
            (dice.choice(["call", "map", "submit", "catch", "keep", "wait"]), dice.randrange(4)) for _ in range(6)
        ]

        @task
        def step(kind: str, x: int) -> int:
            if kind == "catch" and x % 2 == 1:
                raise KeyError(x)
            return x * x

        @flow
        def body() -> list[Any]:
            out: list[Any] = []
            pending = []
            for number, (kind, x) in enumerate(program):
                if kind == "map":
                    out.extend(step.with_options(concurrency=3).map([kind] * 3, x + number).results())
                elif kind == "submit":
                    pending.append(step.submit(kind, x))
                elif kind == "wait":
                    out.append(suspend.event(f"e{number}"))
                elif kind == "keep":
                    out.append([now(key=str(number)).isoformat(), random(key=str(number))])
                else:
                    try:
                        out.append(step(kind, x))
                    except KeyError as error:
                        out.append(repr(error))
            return out + [one.result() for one in pending]

        answers = {f"e{number}": number for number in range(6)}
        whole = run_flow(body, answers=answers)
        self.assertEqual(whole.outcome, "completed", whole.error)
        run = run_flow(body, kill_after=1)
        for _ in range(40):
            if run.outcome == "completed":
                break
            run = run.resume(answers=answers if dice.random() < 0.5 else {}, kill_after=dice.choice([1, 2, None]))
        else:
            run = run.resume(answers=answers)

        def strip(value: list[Any]) -> list[Any]:
            return [one for one in value if not isinstance(one, list)]

        self.assertEqual(strip(run.value), strip(whole.value))
        extra = sum(run.executions.values()) - sum(whole.executions.values())
        self.assertLessEqual(extra, 5 * run.attempt)


if __name__ == "__main__":
    unittest.main()
