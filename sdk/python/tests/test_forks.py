"""Processes that a flow forks while other threads hold the locks of the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import unittest
import warnings
from pathlib import Path
from typing import Any

from towpath._internal.gateway.http import Address
from towpath._internal.gateway.sender import Sender
from towpath._internal.problem import GatewayRefused

REFUSED = [
    *("call", "submit", "map", "future", "flow", "keep", "kept", "now", "secret", "artifact", "cancelled", "start"),
    *("suspend", "setup", "running future", "running map", "iterated map", "async call"),
]


@unittest.skipIf(sys.platform == "win32", "Windows has no fork")
class Forks(unittest.TestCase):
    told: dict[str, Any]
    output: str

    @classmethod
    def setUpClass(cls) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.forking_flow"],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
            check=False,
        )
        found = [line for line in ended.stdout.splitlines() if line.startswith("RESULT ")]
        assert ended.returncode == 0 and len(found) == 1, ended.stdout + ended.stderr
        cls.told = json.loads(found[0].removeprefix("RESULT "))
        cls.output = ended.stdout + ended.stderr

    def test_the_run_goes_on_alone(self) -> None:
        for flow in ("body", "body-async"):
            told = self.told[flow]
            self.assertEqual((told["outcome"], told["value"]), ("completed", 2), told["error"])
            self.assertEqual(len(set(told["ends"])), len(told["ends"]), "each call ends once")
            self.assertFalse([line for line in told["logs"] if "child" in line])

    def test_a_child_cannot_call_into_the_run_and_does_not_wait(self) -> None:
        exits = self.told["exits"]
        self.assertEqual({name: exits[name] for name in REFUSED}, dict.fromkeys(REFUSED, 0))

    def test_what_a_child_prints_and_logs_goes_to_the_output_of_its_process(self) -> None:
        self.assertEqual(self.told["exits"]["speaks"], 0)
        self.assertEqual(self.told["output"], [], "nothing is in the records")
        for text in ("prints", "logs", "logs by logging", "warns"):
            self.assertIn(f"a child {text}", self.output)

    def test_a_child_ends_where_its_function_ends(self) -> None:
        names = {
            "return": 1,
            "flow returns": 1,
            "thread": 1,
            "async return": 1,
            "async await": 1,
            "sys.exit": 3,
            "async sys.exit": 3,
            "sys.exit with a text": 1,
            "raise": 1,
            "in a loop over a map": 4,
            "in a set-up": 5,
        }
        exits = self.told["exits"]
        self.assertEqual({name: exits[name] for name in names}, names)
        for text in ("returned from the function that had forked it", "no data", "ValueError: in the child", "awaited"):
            self.assertIn(text, self.output)

    def test_a_child_cleans_up_nothing_of_its_parent(self) -> None:
        self.assertEqual(self.told["files"], ["go", f"torn down by {self.told['pid']}"])
        self.assertTrue(self.told["hasScratch"])

    def test_multiprocessing_and_subprocess_work(self) -> None:
        exits = self.told["exits"]
        self.assertEqual((exits["multiprocessing"], exits["preexec_fn"]), (0, 0))

    def test_a_child_never_sends_a_record(self) -> None:
        sender = Sender(Address("/nowhere", "/nowhere"), 0, lambda _: None)
        with sender._lock, sender._socket, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            forked = os.fork()
            if forked == 0:
                is_refused = []

                def post() -> None:
                    try:
                        sender.post({"type": "log"})
                    except GatewayRefused:
                        is_refused.append(True)

                posting = threading.Thread(target=post, daemon=True)
                posting.start()
                posting.join(30)
                os._exit(0 if is_refused else 9)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]), 0)
        sender.close()
