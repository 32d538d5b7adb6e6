"""Tasks on a cluster, with a cluster of threads: what the flow's process does, and what its libraries do not change."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from towpath import InvalidDefinition, TaskTimeout, flow, task
from towpath._internal.cluster.cluster import OpenCluster
from towpath._internal.cluster.errors import ClusterAway, ClusterDiffers
from towpath._internal.cluster.remote import RemoteCall, run_call
from towpath._internal.cluster.versions import Versions, difference, versions_of
from towpath.test import run_flow

GO_ON = threading.Event()


def double(n: int) -> int:
    print("doubling", n)
    return 2 * n


def plain(n: int) -> int:
    return n


def waits() -> None:
    GO_ON.wait(30)


class _Work:
    def __init__(self, seen: list[str], future: Future[Any]) -> None:
        self._seen = seen
        self._future = future

    def when_done(self, then: Callable[[], None]) -> None:
        self._future.add_done_callback(lambda _: then())

    def result(self) -> Any:
        return self._future.result()

    def cancel(self) -> None:
        self._seen.append("cancelled")

    def release(self) -> None:
        self._seen.append("released")


@dataclass
class _Connection:
    seen: list[str]
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64))
    most: int = 0

    def submit(self, call: RemoteCall, arguments: bytes) -> _Work:
        self.seen.append(f"submitted {call.path}")
        return _Work(self.seen, self.threads.submit(run_call, call, arguments))

    def close(self) -> None:
        self.seen.append("closed")


@dataclass(frozen=True)
class _Cluster:
    connect: Callable[[], _Connection]

    def open(self) -> OpenCluster:
        return OpenCluster("Dask cluster at x", self.connect)


class Clusters(unittest.TestCase):
    def setUp(self) -> None:
        self.seen: list[str] = []
        self.cluster = _Cluster(lambda: _Connection(self.seen))

    def test_each_result_is_released_and_the_connection_is_closed_once(self) -> None:
        made = task(runs_in=self.cluster, concurrency=40)(double)

        @flow
        def body() -> int:
            return sum(made.map(range(50)).results())

        run = run_flow(body)
        self.assertEqual((run.outcome, run.value), ("completed", 2450), run.error)
        self.assertEqual(self.seen.count("released"), 50)
        self.assertEqual((self.seen.count("closed"), self.seen[-1]), (1, "closed"))
        lines = {(one["task"], one["text"]) for one in run.records if one["type"] == "log"}
        self.assertEqual(len(lines), 50)
        self.assertTrue(all(path.rpartition("/")[2] == text.split()[1] for path, text in lines))

    def test_a_run_may_have_more_calls_there_than_threads_here(self) -> None:
        at_once = threading.Barrier(40)

        def meets(call: RemoteCall, arguments: bytes) -> Any:
            at_once.wait(30)
            return runs(call, arguments)

        runs = run_call
        made = task(runs_in=self.cluster, concurrency=40)(double)

        @flow
        def body() -> int:
            return len(made.map(range(40)).results())

        with mock.patch(f"{__name__}.run_call", meets):
            self.assertEqual(run_flow(body).value, 40)

    def test_a_time_limit_cancels_and_releases_the_call(self) -> None:
        self.addCleanup(GO_ON.set)

        @flow
        def body() -> None:
            task(runs_in=self.cluster, timeout="50ms")(waits)()

        run = run_flow(body)
        self.assertIsInstance(run.error, TaskTimeout)
        self.assertEqual(self.seen, ["submitted waits", "cancelled", "released", "closed"])

    def test_errors_of_the_connection_say_what_to_do(self) -> None:
        for error, kind, text in (
            (ConnectionRefusedError("no"), ClusterAway, "Dask cluster at x cannot be reached: no. Check its address"),
            (ModuleNotFoundError("no", name="distributed"), InvalidDefinition, r'pip install "towpath\[dask\]"'),
        ):
            made = task(runs_in=_Cluster(mock.Mock(side_effect=error)))(double)

            @flow
            def body() -> None:
                made(1)

            run = run_flow(body)
            self.assertIsInstance(run.error, kind)
            self.assertRegex(str(run.error), text)

    def test_a_cluster_without_the_package_says_so(self) -> None:
        @flow
        def body() -> None:
            task(runs_in=self.cluster)(double)(1)

        with mock.patch.object(_Work, "result", side_effect=RuntimeError("wrapped: No module named 'towpath'")):
            run = run_flow(body)
        self.assertIsInstance(run.error, ClusterDiffers)
        self.assertIn("has no package towpath", str(run.error))

    def test_versions_are_compared_one_by_one(self) -> None:
        here = Versions("3.13", "aaa", "bbb")
        self.assertIsNone(difference(here, here))
        self.assertIsNone(difference(here, Versions("3.13", "aaa", None)))
        for there, text in (
            (Versions("3.12", "x", "x"), "Python has version 3.12 there, and 3.13 in the flow's process"),
            (Versions("3.13", "x", "x"), "the package towpath has version x there, and aaa"),
            (Versions("3.13", "aaa", "x"), "the code of the task has version x there, and bbb"),
        ):
            self.assertIn(text, difference(here, there) or "")
        ours, tops = versions_of(plain, None)
        self.assertEqual(versions_of(plain, tops), (ours, tops))
        self.assertRegex(ours.code or "", "^[0-9a-f]{16}$")

    def test_a_wrong_value_of_runs_in_is_refused(self) -> None:
        with self.assertRaisesRegex(InvalidDefinition, 'runs_in must be "thread" or "process", or a cluster: dask'):
            task(runs_in="dask")(double)


if __name__ == "__main__":
    unittest.main()
