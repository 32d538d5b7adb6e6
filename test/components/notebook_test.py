"""Notebooks run in a real kernel: parameters, logs, errors, limits, and the end of the kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk" / "python" / "src"))

from towpath import TaskTimeout, notebook
from towpath._internal.notebook.kernel import CellFailed, KernelDied
from towpath.test import TestedRun, run_flow

END_S = 60.0
PARAMETERS = "path: str = 'x'\nfactor = 2"


def code(source: str, *tags: str, id: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": id,
        "metadata": {"tags": list(tags)},
        "source": source,
        "execution_count": 9,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "of an earlier run"}],
    }


def executed(run: TestedRun) -> dict[str, Any]:
    """The executed notebook of a run."""
    (ref,) = [one["result"] for one in run.records if one["type"] == "kept"]
    book: dict[str, Any] = json.loads(run.store.load(ref))
    return book


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that ended and whose parent has not looked yet.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


class Notebooks(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "train.ipynb"

    def write(self, *cells: Any) -> None:
        book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}
        self.path.write_text(json.dumps(book), encoding="utf-8")

    def run_cells(self, *cells: Any, parameters: dict[str, Any] | None = None, **options: Any) -> TestedRun:
        self.write(*cells)
        return run_flow(notebook(self.path, **options), parameters)

    def until_gone(self, pid: int) -> None:
        end = time.monotonic() + END_S
        while is_alive(pid):
            self.assertLess(time.monotonic(), end, "the kernel is still running")
            time.sleep(0.05)

    def pid_in(self, name: str) -> int:
        """A number that a cell writes to a file, as soon as it is there."""
        end = time.monotonic() + END_S
        file = self.folder / name
        while not file.exists() or not file.read_text().endswith("\n"):
            self.assertLess(time.monotonic(), end, "no cell has written its process id")
            time.sleep(0.05)
        return int(file.read_text())

    def test_cells_are_task_runs_with_logs_and_the_notebook_is_kept(self) -> None:
        run = self.run_cells(
            code(PARAMETERS, "parameters", id="p"),
            {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "## Load"},
            code("import sys, os\nprint(path, factor)\nprint('half', end='')\nprint('bad', file=sys.stderr)", id="a"),
            code("print(os.getcwd(), sys.executable)\nfactor * 21", id="b"),
            parameters={"path": "y"},
        )
        self.assertEqual((run.outcome, run.error), ("completed", None))
        self.assertEqual([one.path for one in run.tasks], ["parameters:1-p", "Load:2-a", "cell 3:3-b"])
        lines = [(one["text"], one["task"]) for one in run.records if one["type"] == "log"]
        self.assertEqual(lines[0], ("y 2", "Load:2-a"))
        self.assertEqual({text for text, _ in lines[1:-1]}, {"half", "bad"} if len(lines) == 4 else {"halfbad"})
        self.assertEqual(lines[-1], (f"{self.folder.resolve()} {sys.executable}", "cell 3:3-b"))
        cells = executed(run)["cells"]
        self.assertEqual("".join(cells[1]["source"]), "path = 'y'\n")
        self.assertEqual(cells[-1]["outputs"][-1]["data"]["text/plain"], ["42"])
        self.assertNotIn("of an earlier run", json.dumps(cells))
        self.assertIn("3 of 3 cells completed", run.artifacts["notebook"]["text"])

    def test_an_error_names_cell_and_line_and_the_notebook_is_kept(self) -> None:
        run = self.run_cells(
            code("def inner():\n    raise ValueError('bad')", id="a"),
            code("1\n2\ninner()", "task:fit", id="b"),
            code("print('never')", id="c"),
        )
        assert isinstance(run.error, CellFailed)
        self.assertEqual((run.error.cell, run.error.line), (2, 3))
        self.assertEqual(str(run.error), 'Cell 2 "fit", line 3: ValueError: bad')
        self.assertEqual([one.state for one in run.tasks], ["completed", "failed"])
        stack = run.records[-1]["error"]["stack"]
        self.assertIn('File "train.ipynb, cell 2", line 3, in fit\n    inner()\n', stack)
        self.assertIn("raise ValueError('bad')", stack)
        self.assertNotIn("sdk/python/src", stack)
        self.assertEqual(executed(run)["cells"][1]["outputs"][0]["ename"], "ValueError")
        self.assertIn("line 3: ValueError: bad", run.artifacts["notebook"]["text"])
        again = run.resume()
        self.assertEqual(again.executions, {"cell 1": 2, "fit": 2})

    def test_a_syntax_error_and_an_expected_error(self) -> None:
        run = self.run_cells(code("1 / 0", "raises-exception", id="a"), code("x = 1\ny = = 2", id="b"))
        assert isinstance(run.error, CellFailed)
        self.assertEqual((run.error.cell, run.error.line), (2, 2))

    def test_a_kernel_that_ends_is_an_error_that_names_the_cell(self) -> None:
        run = self.run_cells(code("print('before')", id="a"), code("import os\nos._exit(3)", id="b"))
        self.assertIsInstance(run.error, KernelDied)
        self.assertIn('ended in cell 2 "cell 2"', str(run.error))
        self.assertIn("before", json.dumps(executed(run)))

    def test_a_time_limit_interrupts_the_cell_and_kills_one_that_ignores_it(self) -> None:
        writes = f"import os, time\nopen({str(self.folder / 'pid')!r}, 'w').write(f'{{os.getpid()}}\\n')\n"
        stubborn = "while True:\n    try:\n        time.sleep(600)\n    except KeyboardInterrupt:\n        pass"
        for source, interrupted in (("time.sleep(600)", True), (stubborn, False)):
            with self.subTest(interrupted=interrupted):
                run = self.run_cells(code(writes + source, id="a"), cell_timeout="3s")
                self.assertIsInstance(run.error, TaskTimeout)
                self.until_gone(self.pid_in("pid"))
                self.assertEqual("KeyboardInterrupt" in json.dumps(executed(run)["cells"][0]["outputs"]), interrupted)

    def test_the_kernel_ends_with_a_killed_process_and_with_its_children(self) -> None:
        self.write(
            code(
                "import os, subprocess, sys\n"
                "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
                "open('child', 'w').write(f'{child.pid}\\n')\nopen('kernel', 'w').write(f'{os.getpid()}\\n')\n"
                "import time\ntime.sleep(600)",
                id="a",
            )
        )
        for how, gone in ((signal.SIGKILL, ["kernel"]), (signal.SIGINT, ["kernel", "child"])):
            with self.subTest(how=how):
                command = [sys.executable, "-B", "-m", "towpath.notebook", "train.ipynb"]
                env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
                process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=subprocess.DEVNULL)
                kernel, child = self.pid_in("kernel"), self.pid_in("child")
                process.send_signal(how)
                self.assertEqual(process.wait(END_S), 2 if how == signal.SIGINT else -9)
                for name in gone:
                    self.until_gone({"kernel": kernel, "child": child}[name])
                if is_alive(child):
                    os.kill(child, signal.SIGKILL)
                for name in ("kernel", "child"):
                    (self.folder / name).unlink()

    def test_large_outputs_are_cut_in_the_notebook_but_not_in_the_log(self) -> None:
        source = "for i in range(40):\n    print(str(i) * 100_000 if i < 10 else 'x' * 100_000)"
        run = self.run_cells(code(source, id="a"), code("print('after')", id="b"))
        self.assertEqual(run.outcome, "completed")
        self.assertLess(len(json.dumps(executed(run))), 2_500_000)
        self.assertGreaterEqual(len(run.logs), 41)
        self.assertTrue(any("too large" in line for line in run.logs))
        self.assertIn("after", run.logs)

    def test_a_notebook_in_a_thread_of_another_flow_leaves_no_thread_waiting(self) -> None:
        from towpath import flow

        self.write(code("print('inside')", id="a"))
        part = notebook(self.path)

        @flow
        def outer() -> str:
            part()
            return "done"

        run = run_flow(outer)
        self.assertEqual((run.outcome, run.value), ("completed", "done"))
        self.assertEqual([one.path for one in run.tasks if one.name == "cell 1"], ["flow:train/cell 1:1-a"])
        names = [one.name for one in threading.enumerate()]
        self.assertEqual(names.count("towpath-kernel"), 0, names)


if __name__ == "__main__":
    unittest.main()
