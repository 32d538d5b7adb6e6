"""The watchdog: a process that a task blocks is reported and killed, and no other one."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from towpath._internal.watchdog.stack import stack_in

_SOURCES = str(Path(__file__).resolve().parents[1] / "src")
_IS_LINUX = sys.platform == "linux"
_WITHIN_S = 60.0

_HEAD = """
import asyncio, faulthandler, os, re, signal, socket, subprocess, sys, threading, time
from towpath import TaskTimeout, flow, task

def holds():
    return re.match(r"(a+)+$", "a" * 40 + "b")

def say(*what):
    print(*what, flush=True)

def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]

def until(found, within_s=60):
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


class _Ended:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        out, err = process.communicate(timeout=_WITHIN_S)
        self.code, self.out, self.err = process.returncode, out, err


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class _Flows(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, body: str) -> subprocess.Popen[str]:
        """Starts a script whose flow is `body`."""
        Path(self.folder, "script.py").write_text(_HEAD + body + _FOOT, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-B", "script.py"],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": _SOURCES},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.__exit__, None, None, None)
        self.addCleanup(process.kill)
        return process

    def run_script(self, body: str) -> _Ended:
        return _Ended(self.start(body))

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

    def assert_killed(self, ended: _Ended, task: str, function: str) -> None:
        """That the watchdog killed the process, and reported the line that calls `holds` or `sleep` there."""
        self.assertEqual(ended.code, -signal.SIGKILL, ended.err)
        found = re.search(r"\.TaskTimeout: A try of task \"(\w+)\" blocked .* It was at script\.py:(\d+)\.", ended.err)
        assert found is not None, ended.err
        self.assertEqual(found[1], task)
        self.assertIn(f'  File "script.py", line {found[2]}, in {function}\n', ended.err)
        self.assertNotIn("towpath/_internal/engine", ended.err)


class Blocked(_Flows):
    def test_a_task_in_the_main_thread_that_holds_the_interpreter_is_killed(self) -> None:
        ended = self.run_script("""
@task(timeout=0.2, timeout_grace=0.1, retries=5)
def stuck():
    holds()

@flow
def body():
    stuck()
""")
        self.assert_killed(ended, "stuck", "holds")

    def test_a_thread_that_holds_the_interpreter_is_killed_and_its_own_stack_is_shown(self) -> None:
        ended = self.run_script("""
began = threading.Event()

@task(timeout=0.2, timeout_grace=0.1)
def stuck():
    began.set()
    holds()

@flow
def body():
    call = stuck.submit()
    began.wait()
    call.result()
""")
        self.assert_killed(ended, "stuck", "holds")
        self.assertNotIn("in body", ended.err)

    def test_a_coroutine_that_blocks_the_event_loop_is_killed(self) -> None:
        ended = self.run_script("""
@task(timeout=0.2, timeout_grace=0.1)
async def stuck():
    time.sleep(600)

@flow
async def body():
    await stuck()
""")
        self.assert_killed(ended, "stuck", "stuck")

    def test_the_innermost_task_whose_time_is_over_is_named(self) -> None:
        inner = """
@task(timeout=60)
def outer():
    inner()

@task(timeout=0.2, timeout_grace=0.1)
def inner():
    holds()

@flow
def body():
    outer()
"""
        self.assert_killed(self.run_script(inner), "inner", "holds")
        outer = inner.replace("(timeout=60)", "(timeout=0.1, timeout_grace=0.1)").replace("0.2, timeout_grace=0.1", "60")
        self.assert_killed(self.run_script(outer), "outer", "holds")

    def test_a_task_that_ignores_its_time_limit_is_killed_where_it_says_so(self) -> None:
        ended = self.run_script("""
@task(timeout=0.2, timeout_grace=0.1, if_ignored="kill")
def deaf():
    while True:
        try:
            time.sleep(600)
        except TaskTimeout:
            pass

@flow
def body():
    deaf()
""")
        self.assert_killed(ended, "deaf", "deaf")

    def test_the_users_own_signals_work_beside_it(self) -> None:
        ended = self.run_script("""
@task(timeout=1, timeout_grace=0.1)
def stuck():
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, file=sys.stdout)
    signal.signal(signal.SIGALRM, lambda *_: say("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.raise_signal(signal.SIGUSR1)
    time.sleep(0.1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
    faulthandler.dump_traceback_later(600)
    holds()

@flow
def body():
    stuck()
""")
        self.assertIn("alarm", ended.out)
        self.assertIn("most recent call first", ended.out)
        self.assert_killed(ended, "stuck", "holds")


@unittest.skipUnless(_IS_LINUX, "reads /proc")
class Alive(_Flows):
    def test_a_flow_without_time_limits_starts_nothing(self) -> None:
        ended = self.run_script("""
@task
def one():
    say("children", children(), "subprocess" in sys.modules)

@flow
def body():
    one()
""")
        # The script itself imports subprocess; the guard would be a child.
        self.assertIn("children [] True", ended.out)

    def test_tasks_that_end_in_time_or_handle_their_limit_leave_the_process_alone(self) -> None:
        ended = self.run_script("""
@task(timeout=0.1, timeout_grace=0.1)
def deaf():
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            time.sleep(end - time.monotonic())
        except TaskTimeout:
            pass

@task(timeout=0.1, timeout_grace=0.1)
def thread():
    time.sleep(3)

@task(timeout=0.1, timeout_grace=0.1)
async def coroutine():
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@task(timeout=30)
def quick(x):
    return x

@flow
async def waits():
    for call in (coroutine(), thread.aio()):
        try:
            await call
        except TaskTimeout:
            say("left")
    await asyncio.sleep(2)

@flow
def body():
    quick.map(range(50)).results()
    for call in (deaf, thread.submit().result):
        try:
            call()
        except TaskTimeout:
            say("over")
    time.sleep(2)
    say("children", len(children()))

if __name__ == "__main__":
    waits()
    say("closed", children())
""")
        self.assertEqual(ended.code, 0, ended.err)
        self.assertEqual([ended.out.count(word) for word in ("left\n", "over\n")], [2, 2], ended.out)
        self.assertIn("closed []", ended.out)
        self.assertIn("children 1", ended.out)

    def test_a_process_that_was_suspended_gets_its_grace_again(self) -> None:
        process = self.start("""
@task(timeout=0.3, timeout_grace=0.1)
def sleeps():
    say("began")
    time.sleep(600)

@flow
def body():
    try:
        sleeps()
    except TaskTimeout:
        say("interrupted")
""")
        self.line(process, "began")
        process.send_signal(signal.SIGSTOP)
        # Longer than the time limit, the grace and the second look together.
        select.select([], [], [], 3)
        process.send_signal(signal.SIGCONT)
        ended = _Ended(process)
        self.assertEqual((ended.code, "interrupted" in ended.out), (0, True), ended.err)

    def test_a_task_that_ends_while_it_is_judged_goes_on(self) -> None:
        # The script takes the stack itself, so it knows when the guard has decided.
        ended = self.run_script("""
from towpath._internal.watchdog.watchdog import Watchdog, WatchedTry

@flow
def body():
    watchdog = Watchdog(None)
    watched = watchdog.watch(WatchedTry("stuck", "stuck", 1, 100, 100))
    decided, write = os.pipe()
    faulthandler.register(watchdog._guard._signal, file=write)
    os.read(decided, 1)
    watched.end()
    # The guard suspends the process, finds that the try has ended, and lets it go on.
    time.sleep(4)
    watchdog.close()
    say("alive", children())
""")
        self.assertEqual(ended.code, 0, ended.err)
        self.assertIn("alive []", ended.out)

    def test_another_guard_starts_when_somebody_has_killed_the_first(self) -> None:
        ended = self.run_script("""
@task(timeout=60)
def one():
    return children()

@task(timeout=0.2, timeout_grace=0.1)
def stuck():
    holds()

@flow
def body():
    [guard] = one()
    os.kill(guard, signal.SIGKILL)
    until(lambda: open(f"/proc/{guard}/stat").read().rpartition(")")[2].split()[0] == "Z")
    stuck()
""")
        self.assert_killed(ended, "stuck", "holds")


@unittest.skipUnless(_IS_LINUX, "reads /proc")
class Leaks(_Flows):
    def test_it_ends_with_the_process_even_if_a_forked_child_lives_on(self) -> None:
        process = self.start("""
@task(timeout=600)
def forks():
    forked = os.fork()
    if forked == 0:
        time.sleep(600)
    [guard] = [one for one in children() if one != forked]
    say("pids", forked, guard)
    time.sleep(600)

@flow
def body():
    forks()
""")
        forked, guard = map(int, self.line(process, "pids").split())
        self.addCleanup(os.kill, forked, signal.SIGKILL)
        self.assertFalse(_is_gone(guard))
        process.kill()
        self.until(lambda: _is_gone(guard))
        self.assertFalse(_is_gone(forked))

    def test_it_keeps_no_file_of_the_flow_open_and_no_signal_to_the_group_reaches_it(self) -> None:
        ended = self.run_script("""
@task(timeout=60)
def one():
    [guard] = children()
    mine = {os.readlink(f"/proc/self/fd/{fd}") for fd in (3, listening.fileno())}
    files = os.listdir(f"/proc/{guard}/fd")
    theirs = {os.readlink(f"/proc/{guard}/fd/{fd}") for fd in files}
    say("shared", mine & theirs, os.readlink(f"/proc/{guard}/cwd"), os.getpgid(guard) == guard)

@flow
def body():
    one()

os.dup2(os.open(__file__, os.O_RDONLY), 3, inheritable=True)
listening = socket.socket()
listening.set_inheritable(True)
listening.listen()
""")
        self.assertIn("shared set() / True", ended.out, ended.err)

    def test_subprocesses_and_processes_of_tasks_work_beside_it(self) -> None:
        ended = self.run_script("""
@task(runs_in="process", timeout=60)
def away(x):
    return x + 1

@task(timeout=60)
def runs():
    forked = os.fork()
    if forked == 0:
        os._exit(7)
    _, status = os.waitpid(forked, 0)
    done = subprocess.run([sys.executable, "-c", "import os; print(len(os.listdir('/proc/self/fd')))"], capture_output=True)
    return os.waitstatus_to_exitcode(status), int(done.stdout) <= 4

@flow
def body():
    say(runs(), away.map([1, 2]).results(), runs())
""")
        self.assertIn("(7, True) [2, 3] (7, True)", ended.out, ended.err)


class Stacks(unittest.TestCase):
    def test_the_stack_of_the_thread_is_found_in_a_dump(self) -> None:
        dump = (
            "Thread 0x00000000000000aa [towpath-timers] (most recent call first):\n"
            '  File "/lib/threading.py", line 3 in wait\n\n'
            "Current thread 0x00000000000000bb (most recent call first):\n"
            '  File "/code/site-packages/lib.py", line 9 in call\n'
            '  File "/code/\\u00e9t\\xe9.py", line 4 in one\n'
            "  ...\n"
            "Current thread's C stack trace (most recent call first):\n"
            "  Binary file x\n"
        )
        stack = stack_in(dump, 0xBB)
        self.assertEqual([frame.line for frame in stack.frames], [4, 9])
        self.assertEqual(stack.place("/code/"), "été.py:4")
        self.assertEqual([frame.line for frame in stack_in(dump, 0xAA).frames], [3])
        self.assertEqual(stack_in(dump, 0xCC), stack)
        self.assertEqual(stack_in("", 1).place("/"), None)
        self.assertEqual(stack_in("", 1).traceback("/", "X: y"), "X: y")


if __name__ == "__main__":
    unittest.main()
