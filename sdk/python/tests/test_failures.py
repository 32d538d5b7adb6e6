"""What a run failed by, and what a later attempt's calls do, by the test vectors."""

from __future__ import annotations

import unittest

from towpath import flow, task
from towpath._internal.checkpoint.earlier import EarlierResults
from towpath._internal.engine.failures import Failures
from towpath.test import run_flow

from .vectors import vectors


class _Group(Exception):
    exceptions: tuple[Exception, ...] = ()


class CaughtFailures(unittest.TestCase):
    def test_failed_by(self) -> None:
        for case in vectors("caught-failures")["failedBy"]:
            with self.subTest(case["name"]):
                made = {name: _Group(name) for name in case["errors"]}
                for name, how in case["errors"].items():
                    made[name].__cause__ = made.get(how.get("cause", ""))
                    made[name].exceptions = tuple(made[one] for one in how.get("errors", ()))
                failures = Failures()
                for path, name in case["failed"]:
                    failures.note(path, made[name])
                self.assertEqual(failures.paths_of(made[case["thrown"]]), case["failedBy"])

    def test_untold(self) -> None:
        for case in vectors("caught-failures")["untold"]:
            with self.subTest(case["name"]):
                failures = Failures()
                for path in case["thrownAgain"]:
                    failures.note_unrecorded({"path": path})
                told = [end["path"] for end in failures.unrecorded(case["failedBy"])]
                self.assertEqual(told, case["tells"])

    def test_calls(self) -> None:
        for case in vectors("caught-failures")["calls"]:
            with self.subTest(case["name"]):
                earlier = EarlierResults()
                for item in case["items"]:
                    earlier.add(item)
                path, version = case["call"]["path"], case["call"]["codeVersion"]
                failure = earlier.take_failure(path)
                result = earlier.take_result(path)
                does = "runs"
                if failure is not None and failure.holds(version, None, has_input=False):
                    does = "fails"
                elif result is not None and result.holds(version, None, has_input=False):
                    does = "completes"
                self.assertEqual(does, case["does"])

    def test_a_task_that_passed_a_failure_on_in_its_last_try_fails_in_the_next_attempt(self) -> None:
        for retries in (0, 1):
            with self.subTest(retries):
                self._killed_after_last_try(retries)

    def _killed_after_last_try(self, retries: int) -> None:
        done: list[str] = []
        tries = 0

        @task
        def charge(_source: str) -> None:
            done.append("charge")
            raise ValueError("no money")

        @task
        def note(_error: str) -> None:
            done.append("note")

        @task(retries=retries, retry_delay=0)
        def whole() -> None:
            nonlocal tries
            tries += 1
            try:
                charge("card")
            except ValueError:
                if tries > retries:
                    note("last")
                raise

        @flow
        def pay() -> None:
            whole()

        killed = run_flow(pay, kill_after="note")
        self.assertEqual(killed.outcome, "killed")
        tries = 0
        self.assertEqual(killed.resume().outcome, "failed")
        self.assertEqual(done, ["charge"] * (retries + 1) + ["note"])


if __name__ == "__main__":
    unittest.main()
