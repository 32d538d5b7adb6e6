"""What tasks on any cluster do. The tests of Dask and Ray run these cases on a cluster of their own."""

from __future__ import annotations

import shutil
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import cluster_tasks
from towpath import TaskTimeout, flow, task
from towpath._internal.cluster import versions
from towpath._internal.cluster.errors import ClusterAway, ClusterDiffers, ClusterWorkerDied, NotOnCluster
from towpath._internal.problem import InvalidDefinition, NotPicklable
from towpath.test import run_flow

END_S = 60.0


def until(holds: Callable[[], bool]) -> None:
    """Waits for a state of the cluster, which has no signal for it."""
    end = time.monotonic() + END_S
    while not holds():
        if time.monotonic() > end:
            raise AssertionError("the cluster has not reached the state")
        time.sleep(0.05)


class ClusterCases(unittest.TestCase):
    cluster: ClassVar[Any]
    away: ClassVar[Any]
    """A cluster that does not exist."""
    folder: ClassVar[Path]
    """A folder from which this process and the cluster import modules."""

    def setUp(self) -> None:
        made = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, made, ignore_errors=True)
        self.own = Path(made)

    def task(self, fn: Any, **options: Any) -> Any:
        return task(runs_in=self.cluster, **options)(fn)

    def run_one(self, fn: Any, *args: Any, **options: Any) -> Any:
        made = self.task(fn, **options)

        @flow
        def body() -> Any:
            return made(*args)

        return run_flow(body)

    def test_a_map_runs_there_with_its_logs_and_is_reused(self) -> None:
        score = self.task(cluster_tasks.score, concurrency=8)

        @task
        def total(values: list[int]) -> int:
            return sum(values)

        @flow
        def body() -> int:
            return total(score.map(range(20), 3).results())

        first = run_flow(body, kill_after=15)
        self.assertEqual(first.outcome, "killed")
        second = first.resume()
        self.assertEqual((second.outcome, second.value), ("completed", 570), second.error)
        # The concurrent calls may have been in flight.
        self.assertLessEqual(second.executions["score"], 28)
        whole = run_flow(body)
        path = next(one.path for one in whole.tasks if one.path.endswith("/7"))
        lines = [(one["level"], one["text"]) for one in whole.records if one["type"] == "log" and one["task"] == path]
        self.assertEqual(sorted(lines), [("info", "depth 7"), ("info", "factor 3"), ("warn", "a warning for 7")])

    def test_coroutines_artifacts_errors_and_retries(self) -> None:
        later = self.task(cluster_tasks.later)

        @flow
        async def body() -> int:
            return await later(1)  # type: ignore[no-any-return]

        self.assertEqual(run_flow(body).value, 2)
        self.assertEqual(self.run_one(cluster_tasks.shows).artifacts["report"]["text"], "text")
        failed = self.run_one(cluster_tasks.fails, str(self.own / "a"))
        self.assertIs(type(failed.error), LookupError)
        self.assertIn("before the failure", failed.logs)
        self.assertIn('raise LookupError("not yet")', failed.records[-1]["error"]["stack"])
        self.assertNotIn("_internal", failed.records[-1]["error"]["stack"])
        again = self.run_one(cluster_tasks.fails, str(self.own / "b"), retries=1)
        self.assertEqual((again.value, again.executions), ("done", {"fails": 2}))

    def test_a_dead_worker_is_an_error_that_a_retry_mends(self) -> None:
        dead = self.run_one(cluster_tasks.dies, str(self.own / "never"))
        self.assertIsInstance(dead.error, ClusterWorkerDied)
        marker = self.own / "marker"
        made = self.task(cluster_tasks.dies, retries=1, retry_delay=0, on_retry=lambda error, tries: marker.touch())

        @flow
        def body() -> str:
            return str(made(str(marker)))

        run = run_flow(body)
        self.assertEqual((run.value, run.executions), ("alive", {"dies": 2}))

    def test_a_time_limit_cancels_the_call_there(self) -> None:
        started = self.own / "started"
        run = self.run_one(cluster_tasks.sleeps, str(started), timeout="3s")
        self.assertIsInstance(run.error, TaskTimeout)
        self.assertTrue(started.exists())
        self.check_nothing_left()

    def check_nothing_left(self) -> None:
        """That the cluster has no call or result of a run."""

    def test_only_the_flow_has_progress_secrets_and_tasks(self) -> None:
        for fn in (cluster_tasks.keeps, cluster_tasks.asks):
            run = self.run_one(fn)
            self.assertIsInstance(run.error, NotOnCluster, run.error)

    def test_what_cannot_be_sent_or_found_is_refused(self) -> None:
        lock = self.task(cluster_tasks.later, key="x")

        @flow
        async def body() -> None:
            await lock(threading.Lock())

        self.assertIsInstance(run_flow(body).error, NotPicklable)
        with self.assertRaisesRegex(InvalidDefinition, "lambda"):
            self.task(lambda: 1, name="x")

    def test_another_version_of_code_or_package_is_named(self) -> None:
        with mock.patch.object(versions, "towpath_version", lambda: "other"):
            run = self.run_one(cluster_tasks.score, 1, 2)
        self.assertIsInstance(run.error, ClusterDiffers)
        self.assertRegex(str(run.error), r"the package towpath has version [0-9a-f]{12} there, and other in the flow's")
        source = textwrap.dedent("""
            def work(n):
                return helped(n)
            def helped(n):
                return n + {}
        """)
        (self.folder / "changing.py").write_text(source.format(1))
        self.addCleanup((self.folder / "changing.py").unlink)
        import changing  # type: ignore[import-not-found]

        self.addCleanup(sys.modules.pop, "changing")
        for _ in range(8):
            # Each process of the cluster loads it.
            self.assertEqual(self.run_one(changing.work, 1).value, 2)
        (self.folder / "changing.py").write_text(source.format(2))
        run = self.run_one(changing.work, 1)
        self.assertIsInstance(run.error, ClusterDiffers)
        self.assertRegex(str(run.error), "the code of the task has version [0-9a-f]{16} there, and [0-9a-f]{16} in")

    def test_a_cluster_without_the_module_says_so(self) -> None:
        (self.own / "only_here.py").write_text("def work():\n    return 1\n")
        sys.path.insert(0, str(self.own))
        self.addCleanup(sys.path.remove, str(self.own))
        import only_here  # type: ignore[import-not-found]

        self.addCleanup(sys.modules.pop, "only_here")
        run = self.run_one(only_here.work)
        self.assertIsInstance(run.error, ClusterDiffers)
        self.assertRegex(str(run.error), 'cannot import "only_here".*PYTHONPATH')

    def test_a_cluster_that_is_away_is_an_error_to_retry(self) -> None:
        made = task(runs_in=self.away)(cluster_tasks.score)

        @flow
        def body() -> None:
            made(1, 2)

        run = run_flow(body)
        self.assertIsInstance(run.error, ClusterAway)
        self.assertIn("cannot be reached", str(run.error))
