"""The watchdog: a process that a task blocks is reported and killed."""

from __future__ import annotations

import json
import signal
import socketserver
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from towpath._internal.watchdog.stack import stack_in

from .watched_flows import Ended, Flows, script

_NESTED = """
outer, inner = 60, 0.2

@task(name="outer", timeout=outer, timeout_grace=0.1, **again)
def above():
    below()

@task(name="inner", timeout=inner, timeout_grace=0.1, **again)
def below():
    holds()

@flow
def body():
    above()
"""


class Blocked(Flows):
    @script("""
@task(timeout=0.2, timeout_grace=0.1, **again)
def stuck():
    holds()

@flow
def body():
    stuck()
""")
    def test_a_task_in_the_main_thread_that_holds_the_interpreter_is_killed(self, ended: Ended) -> None:
        self.assert_killed(ended, "stuck", "holds")

    @script("""
began = threading.Event()

@task(timeout=0.2, timeout_grace=0.1, **again)
def stuck():
    began.set()
    holds()

@flow
def body():
    call = stuck.submit()
    began.wait()
    call.result()
""")
    def test_a_thread_that_holds_the_interpreter_is_killed_and_its_own_stack_is_shown(self, ended: Ended) -> None:
        self.assert_killed(ended, "stuck", "holds")
        self.assertNotIn("in body", ended.err)

    @script("""
@task(timeout=0.2, timeout_grace=0.1, **again)
async def stuck():
    time.sleep(600)

@flow
async def body():
    await stuck()
""")
    def test_a_coroutine_that_blocks_the_event_loop_is_killed(self, ended: Ended) -> None:
        self.assert_killed(ended, "stuck", "stuck")

    @script("""
@task(timeout=0.2, timeout_grace=0.1)
async def stuck():
    await asyncio.sleep(0.2)
    time.sleep(600)

@flow
async def body():
    await stuck()
""")
    def test_a_coroutine_that_blocks_at_its_time_limit_is_killed_or_ends(self, ended: Ended) -> None:
        self.assertIn(ended.code, (-signal.SIGKILL, 1), ended.err)
        self.assertIn("TaskTimeout", ended.err)

    @script(_NESTED)
    def test_the_time_limit_of_an_inner_task_names_the_inner_task(self, ended: Ended) -> None:
        self.assert_killed(ended, "inner", "holds")

    @script(_NESTED.replace("outer, inner = 60, 0.2", "outer, inner = 0.2, 60"))
    def test_the_time_limit_of_an_outer_task_names_the_outer_task(self, ended: Ended) -> None:
        self.assert_killed(ended, "outer", "holds")

    @script("""
@task(timeout=0.2, timeout_grace=0.1, if_ignored="kill", **again)
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
    def test_a_task_that_ignores_its_time_limit_is_killed_where_it_says_so(self, ended: Ended) -> None:
        self.assert_killed(ended, "deaf", "deaf")

    @script("""
from towpath._internal.watchdog.watchdog import Watchdog

began = Watchdog.watch
in_thread = threading.Event()

def begins_late(self, tried):
    in_thread.set()
    # As on a machine that is so busy that the watchdog's process starts only after the time limit.
    time.sleep(0.5)
    return began(self, tried)

Watchdog.watch = begins_late

@task(timeout=0.1, timeout_grace=60)
def late():
    say("begun")
    time.sleep(600)

@flow
def body():
    call = late.submit()
    in_thread.wait()
    call.result()
""")
    def test_a_thread_whose_time_limit_is_over_before_its_function_begins_never_begins_it(self, ended: Ended) -> None:
        self.assert_never_begun(ended)

    @script("""
@task(timeout=0.1, timeout_grace=60)
async def late():
    say("begun")
    time.sleep(600)

async def holds_up_the_loop():
    while True:
        time.sleep(0.3)
        await asyncio.sleep(0)

@flow
async def body():
    other = asyncio.create_task(holds_up_the_loop())
    try:
        await late()
    finally:
        other.cancel()
""")
    def test_a_coroutine_whose_time_limit_is_over_before_it_begins_never_begins(self, ended: Ended) -> None:
        self.assert_never_begun(ended)

    def assert_never_begun(self, ended: Ended) -> None:
        self.assertEqual((ended.code, ended.out.count("begun")), (1, 0), ended.err)
        self.assertIn("exceeded its time limit of 100 ms", ended.err)

    @script("""
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
    def test_the_users_own_signals_work_beside_it(self, ended: Ended) -> None:
        self.assertIn("alarm", ended.out)
        self.assertIn("most recent call first", ended.out)
        self.assert_killed(ended, "stuck", "holds")


class _Gateway(socketserver.ThreadingUnixStreamServer):
    """A worker's gateway that is away at first, and still takes records of the process while the guard asks."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, _Handler)
        # The last but two is what the process sent before it was stopped. Then come the copies of what it had not sent.
        self.acked = [None, 5, 7, 7, 7, 9, 9]
        self.records: list[Any] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Gateway

    def do_GET(self) -> None:
        acked = self.server.acked.pop(0)
        self._answer(503 if acked is None else 200, {"acked": acked})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.records += [json.loads(line) for line in body.splitlines()]
        self._answer(200, {"acked": 9})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        assert self.headers["Authorization"] == "Bearer secret"
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing."""


class Reports(Flows):
    def test_the_report_follows_the_last_record_and_waits_for_a_worker_that_is_away(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        Path(folder.name, "token").write_text("secret", encoding="ascii")
        with _Gateway(f"{folder.name}/gateway") as gateway:
            threading.Thread(target=gateway.serve_forever, daemon=True).start()
            self.addCleanup(gateway.shutdown)
            process = self.start(f"""
from towpath._internal.gateway.http import Address
from towpath._internal.gateway.sender import Sender
from towpath._internal.watchdog.watchdog import Watchdog, WatchedTry

@flow
def body():
    sender = Sender(Address("nowhere", "nothing"), 6, lambda error: None)
    watchdog = Watchdog(Address("{folder.name}/gateway", "{folder.name}/token"), sender)
    sender.post({{"type": "first"}})
    sender.post({{"type": "second"}})
    watchdog.watch(WatchedTry("outer/stuck:k", "stuck", 2, 100, 50))
    sender.post({{"type": "third"}})
    holds()
""")
            ended = Ended(process)
        self.assertEqual((ended.code, ended.err), (-signal.SIGKILL, ""))
        self.assertEqual(gateway.acked, [])
        *rest, task, outcome = gateway.records
        # The worker had the first one already.
        self.assertEqual(rest, [{"seq": 8, "type": "second"}, {"seq": 9, "type": "third"}])
        error = task.pop("error")
        self.assertEqual((error["name"], outcome.pop("error")), ("TaskTimeout", error))
        self.assertRegex(error["message"], r"limit of 100 ms and 50 ms more.* It was at script\.py:\d+\. Give the task")
        self.assertRegex(error["stack"], r'File "script.py", line \d+, in holds\n    return re\.match')
        self.assertRegex(task.pop("at"), r"^\d{4}-.*Z$")
        outcome.pop("at")
        self.assertEqual(
            task, {"seq": 10, "type": "task", "path": "outer/stuck:k", "name": "stuck", "tries": 2, "move": "fail"}
        )
        end = {"outcome": "failed", "cause": "timeout", "failedBy": ["outer/stuck:k"]}
        self.assertEqual(outcome, {"seq": 11, "type": "outcome", **end})


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
