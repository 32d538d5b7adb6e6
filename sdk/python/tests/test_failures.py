"""What a run failed by, and what a later attempt's calls do, by the test vectors."""

from __future__ import annotations

import unittest

from towpath._internal.checkpoint.earlier import EarlierResults
from towpath._internal.engine.failures import Failures

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


if __name__ == "__main__":
    unittest.main()
