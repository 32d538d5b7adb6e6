"""Tasks in processes of their own."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from towpath import InvalidDefinition, TaskTimeout, artifact, flow, keep, kept, log, now, resource, secret, task
from towpath._internal.problem import FromEarlier, NotInProcess, NotPicklable, TaskProcessEnded
from towpath.test import run_flow

from .test_output import _run

_SOURCES = str(Path(__file__).resolve().parents[1] / "src")


@dataclasses.dataclass
class Point:
    x: int


class Refused(ValueError):
    """An error whose parameters are not its message."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"refused with {code}")
        self.code = code


class Unfit(Exception):
    """An error that cannot be made in another process."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())


@task(runs_in="process")
def where(point: Point) -> tuple[int, Point]:
    return os.getpid(), Point(point.x + 1)


@task(runs_in="process", map_key=str, concurrency=2)
def pid(x: int) -> int:
    return os.getpid()


@task(runs_in="process")
async def awaited(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


@task(runs_in="process", key="k")
def speaks() -> None:
    print("printed")
    logging.getLogger("x").warning("logged")
    log.error("said")
    print("\rone\rtwo")
    print("unfinished", end="")


@task(runs_in="process", retries=2, retry_delay=0)
def asks() -> list[Any]:
    artifact.markdown("note", "hello")
    tries = kept("tries", 0) + 1
    keep("tries", tries)
    times = [now(), now()]
    if tries == 1:
        raise ValueError("again")
    return [tries, secret("token"), times[0] <= times[1]]


@task(runs_in="process")
def fails(how: str) -> Any:
    if how == "custom":
        raise Refused(code=7) from KeyError("below")
    if how == "unfit":
        raise Unfit
    if how == "lock":
        return threading.Lock()
    if how == "task":
        return pid(1)
    raise AssertionError(how)


@task(runs_in="process", retries=1, retry_delay=0)
def dies(how: str) -> str:
    if kept("died"):
        return "second try"
    keep("died", True)
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), getattr(signal, how))
    return "never"


def _starts_program(fifo: str) -> None:
    """Starts a program that holds a pipe open for as long as it lives."""
    end = os.open(fifo, os.O_WRONLY)
    subprocess.Popen(["sleep", "600"], stdout=end)
    os.write(end, b"begun")


@task(runs_in="process", timeout=1, timeout_grace=0.05)
def hangs(fifo: str) -> None:
    _starts_program(fifo)
    # Holds the lock of the interpreter: no signal handler of Python runs.
    re.match(r"(a+)+$", "a" * 40 + "b")


@resource
def database() -> Iterator[str]:
    log.info("opened")
    yield "rows"
    log.info("closed")


@task(runs_in="process")
def reads() -> str:
    return database.get() + database.get()


@task(runs_in="process")
def waits(fifo: str) -> None:
    _starts_program(fifo)
    threading.Event().wait()


@task(runs_in="process", timeout=1, timeout_grace=30)
def tidies(file: str) -> None:
    try:
        threading.Event().wait()
    finally:
        Path(file).write_text("tidy", encoding="ascii")


@task(timeout=1)
def outer(fifo: str) -> None:
    waits(fifo)


class Calls(unittest.TestCase):
    def test_a_call_runs_elsewhere_and_returns_its_value(self) -> None:
        @flow
        def body() -> Any:
            return [where(Point(1)), awaited.fn.__name__]

        there, point = run_flow(body).value[0]
        self.assertNotEqual(there, os.getpid())
        self.assertEqual(point, Point(2))

    def test_async_tasks_run_in_a_process_too(self) -> None:
        @flow
        async def body() -> list[int]:
            return [await awaited(1), *await awaited.map([2, 3])]

        self.assertEqual(run_flow(body).value, [2, 3, 4])

    def test_a_map_uses_as_many_processes_as_its_concurrency_and_uses_them_again(self) -> None:
        @flow
        def body() -> list[int]:
            return [*pid.map(range(12)).results(), pid(100)]

        self.assertLessEqual(len(set(run_flow(body).value)), 2)

    def test_the_processes_end_with_the_run(self) -> None:
        @flow
        def body() -> int:
            return pid(1)

        there = run_flow(body).value
        with self.assertRaises(ProcessLookupError):
            os.kill(there, 0)

    def test_its_lines_are_in_the_log_in_order_with_its_path(self) -> None:
        @flow
        def body() -> None:
            speaks()
            print("after")

        records, end, _ = _run(body)
        self.assertIsNone(end.error)
        lines = [(text, path) for text, path in records.lines]
        self.assertEqual(
            lines,
            [
                *[(text, "speaks:k") for text in ("printed", "logged", "said", "two", "unfinished")],
                ("after", None),
            ],
        )

    def test_progress_artifacts_secrets_and_times_work(self) -> None:
        @flow
        def body() -> list[Any]:
            return asks()

        run = run_flow(body, secrets={"token": "hidden"})
        self.assertEqual(run.value, [2, "hidden", True])
        self.assertEqual(list(run.artifacts), ["note"])
        times = [record["path"] for record in run.records if record["type"] == "kept" and "now" in record["path"]]
        self.assertEqual(times, ["asks/:now", "asks/:now#2", "asks/:now#3", "asks/:now#4"])

    def test_a_resource_is_opened_for_one_call(self) -> None:
        @flow
        def body() -> list[str]:
            return [reads(), reads()]

        run = run_flow(body)
        self.assertEqual((run.value, run.logs), (["rowsrows"] * 2, ["opened", "closed"] * 2))
        self.assertEqual(run_flow(body, resources={database: "fake"}).value, ["fakefake"] * 2)


class Errors(unittest.TestCase):
    def _error_of(self, how: str) -> Any:
        @flow
        def body() -> Any:
            return fails(how)

        run = run_flow(body)
        return run.error, run.records

    def test_an_error_comes_back_with_its_class_attributes_cause_and_stack(self) -> None:
        error, records = self._error_of("custom")
        self.assertIsInstance(error, Refused)
        self.assertEqual((str(error), error.code, repr(error.__cause__)), ("refused with 7", 7, "KeyError('below')"))
        stack = next(one["error"]["stack"] for one in records if one.get("move") == "fail")
        self.assertIn("raise Refused(code=7)", stack)
        self.assertNotIn("_internal", stack)

    def test_an_error_that_cannot_be_sent_keeps_its_name_and_stack(self) -> None:
        error, _ = self._error_of("unfit")
        self.assertIsInstance(error, FromEarlier)
        self.assertEqual(error.name, "Unfit")

    def test_what_cannot_be_sent_is_named_and_not_tried_again(self) -> None:
        @flow
        def body() -> Any:
            return fails.with_options(key="k", retries=3)(threading.Lock())

        error = run_flow(body).error
        self.assertIsInstance(error, NotPicklable)
        self.assertIn('Task "fails" runs in a process of its own: argument 1 cannot be sent', str(error))
        self.assertIn("the result cannot be sent", str(self._error_of("lock")[0]))

    def test_a_task_in_it_is_refused(self) -> None:
        error, _ = self._error_of("task")
        self.assertIsInstance(error, NotInProcess)
        self.assertIn('Task "pid" was called in a task that runs in a process', str(error))

    def test_a_function_that_no_other_process_finds_is_refused_where_it_is_declared(self) -> None:
        def local() -> None: ...

        for fn, why in ((local, "defined in a function"), (lambda: None, "a lambda")):
            with self.assertRaisesRegex(InvalidDefinition, why):
                task(runs_in="process")(fn)
        with self.assertRaisesRegex(InvalidDefinition, '"thread" or "process"'):
            task(runs_in="fork")(_starts_program)


class Ends(unittest.TestCase):
    def test_a_process_that_dies_fails_the_try_and_the_next_one_has_another_process(self) -> None:
        for how, told in (("exit", "code 3"), ("SIGSEGV", "SIGSEGV"), ("SIGKILL", "memory ran out")):
            with self.subTest(how):

                @flow
                def body() -> str:
                    return dies(how)

                run = run_flow(body)
                self.assertEqual(run.value, "second try", run.error)
                first = next(one for one in run.records if one.get("move") == "retry")
                self.assertEqual(first["error"]["name"], "TaskProcessEnded")
                self.assertIn(told, first["error"]["message"])

    def test_its_error_has_the_code_or_the_signal(self) -> None:
        self.assertEqual((TaskProcessEnded("t", 3).exit_code, TaskProcessEnded("t", -9).signal), (3, 9))

    def _with_fifo(self, run: Any) -> None:
        """Runs something that starts a program, and returns once that program is gone."""
        with tempfile.TemporaryDirectory() as folder:
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo)
            begun = threading.Event()

            def read() -> None:
                with open(fifo, "rb") as file:
                    if file.read(5) == b"begun":
                        begun.set()
                    file.read()

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            run(fifo, begun)
            reader.join(60)
            self.assertEqual((begun.is_set(), reader.is_alive()), (True, False))

    def test_a_time_limit_kills_it_and_what_it_started_even_if_it_holds_the_interpreter(self) -> None:
        @flow
        def body(fifo: str) -> None:
            # Its process is there, and has imported the module, before the time limit begins.
            pid(1)
            hangs(fifo)

        self._with_fifo(lambda fifo, _: self.assertIsInstance(run_flow(body, {"fifo": fifo}).error, TaskTimeout))

    def test_a_time_limit_of_the_calling_task_ends_it_as_cancelled(self) -> None:
        @flow
        def body(fifo: str) -> None:
            pid(1)
            outer(fifo)

        def run(fifo: str, _: threading.Event) -> None:
            states = {one.name: one.state for one in run_flow(body, {"fifo": fifo}).tasks}
            self.assertEqual(states, {"pid": "completed", "outer": "failed", "waits": "cancelled"})

        self._with_fifo(run)

    def test_a_function_that_listens_can_clean_up(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "file")

            @flow
            def body() -> None:
                pid(1)
                tidies(file)

            self.assertIsInstance(run_flow(body).error, TaskTimeout)
            self.assertEqual(Path(file).read_text(encoding="ascii"), "tidy")

    def test_it_and_what_it_started_end_with_a_killed_parent(self) -> None:
        program = (
            "import sys; from towpath import flow; from towpath.test import run_flow; from tests.test_process import waits\n"
            "@flow\n"
            "def body(fifo: str) -> None: waits(fifo)\n"
            "run_flow(body, {'fifo': sys.argv[1]})"
        )

        def run(fifo: str, begun: threading.Event) -> None:
            parent = subprocess.Popen(
                [sys.executable, "-B", "-c", program, fifo],
                cwd=Path(__file__).resolve().parents[1],
                env={**os.environ, "PYTHONPATH": _SOURCES},
            )
            begun.wait(300)
            parent.kill()
            parent.wait()

        self._with_fifo(run)


class Scripts(unittest.TestCase):
    def _script(self, text: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "train.py")
            Path(file).write_text(text, encoding="utf-8")
            return subprocess.run(
                [sys.executable, "-B", file],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": _SOURCES},
                capture_output=True,
                text=True,
                timeout=300,
            )

    _HEAD = (
        "import dataclasses\n"
        "from towpath import flow, task\n"
        "@dataclasses.dataclass\n"
        "class Point:\n    x: int\n"
        "class Odd(Exception): pass\n"
        "@task(runs_in='process')\n"
        "def step(point: Point) -> Point:\n"
        "    if point.x == 7: raise Odd('seven')\n"
        "    return Point(point.x + 1)\n"
        "@flow\n"
        "def train() -> str:\n"
        "    try: step(Point(7))\n"
        "    except Odd as error: return f'{step(Point(1)).x} {error}'\n"
    )

    def test_a_script_is_imported_by_its_file_under_a_guard(self) -> None:
        done = self._script(f"{self._HEAD}if __name__ == '__main__': train.run_main()\n")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("'2 seven'", done.stdout)

    def test_a_script_without_a_guard_is_told_so(self) -> None:
        done = self._script(f"{self._HEAD}train.run_main()\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("below `if __name__", done.stdout + done.stderr)

    def test_an_interactive_session_has_no_module_to_import(self) -> None:
        done = subprocess.run(
            [sys.executable, "-B", "-c", f"{self._HEAD}train()"],
            env={**os.environ, "PYTHONPATH": _SOURCES},
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertIn("in a notebook or an interactive session", done.stderr)


if __name__ == "__main__":
    unittest.main()
