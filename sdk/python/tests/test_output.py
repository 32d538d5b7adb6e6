"""`print` and `logging` in the run's log."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import unittest
from typing import Any

from towpath import artifact, flow, task
from towpath._internal.engine.cancel import Cancel
from towpath._internal.engine.run_flow import RunEnd, run_flow
from towpath._internal.engine.run_here import OwnWaits, local_host
from towpath._internal.logs.capture import capture
from towpath._internal.problem import InvalidDefinition
from towpath._internal.text import FLOW_TEXT_CHARS
from towpath.test import run_flow as tested


class _Records:
    def __init__(self) -> None:
        self.all: list[Any] = []

    def post(self, record: Any) -> None:
        self.all.append(record)

    post_held = post_stored = post

    @property
    def lines(self) -> list[Any]:
        return [(one["text"], one.get("task")) for one in self.all if one["type"] == "log"]


def _run(body: Any) -> tuple[_Records, RunEnd, str]:
    """Runs a flow as a worker's process does. @returns What it recorded, how it ended, and its native output."""
    records, native = _Records(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    out, sys.stdout = sys.stdout, native
    release = capture(records)  # type: ignore[arg-type]
    try:
        waits = OwnWaits({})
        end = run_flow(
            body,
            local_host("body", parameters={}, records=records, cancel=Cancel(), waits=waits, end_process=lambda: None),
        )
    finally:
        release()
        sys.stdout = out
    return records, end, native.buffer.getvalue().decode()  # type: ignore[attr-defined]


class Output(unittest.TestCase):
    def test_a_line_without_an_end_is_in_the_log_before_the_outcome_with_its_task(self) -> None:
        @task(key="k")
        def work() -> None:
            print("half", end="")

        @flow
        def body() -> None:
            work()

        records, _, native = _run(body)
        self.assertEqual(records.lines, [("half", "work:k")])
        self.assertEqual((records.all[-1]["type"], native), ("outcome", ""))

    def test_a_long_line_is_one_record_so_that_no_secret_is_cut_in_two(self) -> None:
        @flow
        def body() -> None:
            for _ in range(70):
                print("x" * 1000, end="")
            sys.stdout.write("more" * 10_000_000)
            print("\nnext")

        records, _, _ = _run(body)
        self.assertEqual([len(text) for text, _ in records.lines], [FLOW_TEXT_CHARS, 4])

    def test_a_progress_bar_is_one_line_with_its_latest_text(self) -> None:
        @flow
        def body() -> None:
            for step in range(50_000):
                print(f"\rstep {step}", end="")
            print("\r\nwindows\r\n", end="")

        records, _, _ = _run(body)
        self.assertEqual([text for text, _ in records.lines], ["step 49999", "windows"])

    def test_threads_of_the_author_write_to_the_log_too(self) -> None:
        @flow
        def body() -> None:
            thread = threading.Thread(target=lambda: (print("beside"), logging.getLogger("x").warning("me")))
            thread.start()
            thread.join()

        records, _, native = _run(body)
        self.assertEqual((records.lines, native), ([("beside", None), ("me", None)], ""))

    def test_a_handler_for_the_terminal_does_not_double_the_lines(self) -> None:
        @flow
        def body() -> None:
            logging.getLogger("shop").warning("once")
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        try:
            records, end, _ = _run(body)
            self.assertIn(handler, logging.getLogger().handlers)
        finally:
            logging.getLogger().removeHandler(handler)
        self.assertEqual((records.lines, end.outcome), ([("once", None)], "completed"))

    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_a_forked_child_writes_to_the_process_output(self) -> None:
        @flow
        def body() -> int:
            child = os.fork()
            if child == 0:
                print("from the child", flush=True)
                os.write(write, sys.stdout.buffer.getvalue())
                os._exit(0)
            return os.waitpid(child, 0)[1]

        read, write = os.pipe()
        records, end, _ = _run(body)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            self.assertEqual((pipe.read(), end.value), (b"from the child\n", 0))
        # Newer releases of Python warn of a fork beside threads.
        self.assertNotIn("from the child", [text for text, _ in records.lines])


class Artifacts(unittest.TestCase):
    def test_what_no_record_can_hold_is_refused(self) -> None:
        @flow
        def body() -> list[str]:
            told = []
            for wrong in (
                lambda: artifact.progress("p", float("nan")),
                lambda: artifact.markdown("k" * 201, "x"),
                lambda: artifact.markdown("", "x"),
                lambda: artifact.markdown("k", "x", title="t" * 201),
                lambda: artifact.markdown("k", "x" * 1_000_001),
            ):
                try:
                    wrong()
                except InvalidDefinition as error:
                    told.append(str(error))
            artifact.markdown("k", "é" * 499_000)
            return told

        run = tested(body)
        self.assertEqual(len(run.value), 5, run.value)
        self.assertEqual(list(run.artifacts), ["k"])


if __name__ == "__main__":
    unittest.main()
