"""Flows in processes of their own, for tests of the watchdog."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SOURCES = str(Path(__file__).resolve().parents[1] / "src")
IS_LINUX = sys.platform == "linux"
# A busy machine may be many times slower.
_WITHIN_S = float(os.environ.get("TOWPATH_TESTS_WITHIN_S", "300"))

_HEAD = """
import asyncio, contextlib, ctypes, faulthandler, os, re, signal, socket, subprocess, sys, threading, time
from towpath import TaskTimeout, flow, task

# On a busy machine a try may be over its time before its function begins. Then the next one begins.
again = {"retries": 1000, "retry_delay": 0}

def holds():
    return re.match(r"(a+)+$", "a" * 40 + "b")

def say(*what):
    print(*what, flush=True)

def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]

def until(found, within_s=300):
    end = time.monotonic() + within_s
    while not found():
        if time.monotonic() > end:
            raise AssertionError("not in time")
        time.sleep(0.01)
"""
_FOOT = """
if __name__ == "__main__":
    body.run_main()
"""


class Ended:
    """How a process has ended, and what it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        out, err = process.communicate(timeout=_WITHIN_S)
        self.code, self.out, self.err = process.returncode, out, err


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def script(body: str) -> Callable[[Callable[[Any, Ended], None]], Callable[[Any], None]]:
    """A test that is told how a script has ended. `body` has its flow. All scripts of a class run beside each other."""

    def decorated(test: Callable[[Any, Ended], None]) -> Callable[[Any], None]:
        @functools.wraps(test)
        def run(self: Any) -> None:
            test(self, Ended(self.processes[test.__name__]))

        run.body = body  # type: ignore[attr-defined]
        return run

    return decorated


class Flows(unittest.TestCase):
    processes: dict[str, subprocess.Popen[str]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.processes = {}
        for name, test in list(vars(cls).items()):
            if hasattr(test, "body"):
                cls.processes[name] = cls.start(test.body)

    @classmethod
    def start(cls, body: str) -> subprocess.Popen[str]:
        """Starts a script whose flow is `body`, in a folder of its own."""
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        Path(folder.name, "script.py").write_text(_HEAD + body + _FOOT, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-B", "script.py"],
            cwd=folder.name,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": _SOURCES,
                "PYTHONPYCACHEPREFIX": sys.pycache_prefix or "",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        cls.addClassCleanup(process.__exit__, None, None, None)
        cls.addClassCleanup(process.kill)
        return process

    def line(self, process: subprocess.Popen[str], start: str) -> str:
        """The rest of the first line of the output that begins with a text."""
        assert process.stdout is not None
        while line := process.stdout.readline():
            if line.startswith(start):
                return line[len(start) :].strip()
        raise AssertionError(f"no line {start}")

    def until(self, found: Any) -> None:
        end = time.monotonic() + _WITHIN_S
        while not found():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def assert_killed(self, ended: Ended, task: str, function: str) -> None:
        """That the watchdog killed the process, and reported the line that calls `holds` or `sleep` there."""
        self.assertEqual(ended.code, -signal.SIGKILL, ended.err)
        found = re.search(r"\.TaskTimeout: A try of task \"(\w+)\" blocked .* It was at script\.py:(\d+)\.", ended.err)
        assert found is not None, ended.err
        self.assertEqual(found[1], task)
        self.assertIn(f'  File "script.py", line {found[2]}, in {function}\n', ended.err)
        self.assertNotIn("towpath/_internal/engine", ended.err)
