"""Paths of calls, by the test vectors."""

from __future__ import annotations

import contextvars
import unittest
from collections.abc import Callable
from typing import Any

from towpath._internal.problem import TaskIdentityUnknown
from towpath._internal.task.identity import CallKey, CallLedger

from .vectors import vectors


def _key(call: dict[str, str]) -> CallKey:
    if "key" in call:
        return CallKey("given", call["key"])
    return CallKey("hash", call["hash"]) if "hash" in call else CallKey("none")


class Identity(unittest.TestCase):
    def test_vectors(self) -> None:
        for case in vectors("call-identity")["cases"]:
            with self.subTest(case["name"]):
                self._play(case["steps"])

    def _play(self, steps: list[dict[str, Any]]) -> None:
        ledger = CallLedger("")
        ends: dict[str, Callable[[], None]] = {}
        branches = {"main": contextvars.Context()}
        for step in steps:
            if "end" in step:
                ends[step["end"]]()
            elif "from" in step:
                branches[step["branch"]] = branches[step["from"]].copy()
            else:
                branches[step["branch"]].run(self._call, ledger, step, ends)

    def _call(self, ledger: CallLedger, step: dict[str, Any], ends: dict[str, Callable[[], None]]) -> None:
        call = step["call"]
        if step.get("refused"):
            with self.assertRaises(TaskIdentityUnknown):
                ledger.name(call["name"], _key(call), call["kind"])
            return
        path, settled = ledger.name(call["name"], _key(call), call["kind"])
        self.assertEqual(path, step["path"])
        ends[path] = settled


if __name__ == "__main__":
    unittest.main()
