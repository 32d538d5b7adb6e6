"""Tasks on a Ray cluster on this machine."""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk" / "python" / "src"))

import ray as library
from cluster_cases import ClusterCases
from towpath.ray import ray


class OnRay(ClusterCases):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        sys.path.insert(0, str(cls.folder))
        root = Path(__file__).resolve().parents[2]
        path = os.pathsep.join(map(str, (cls.folder, root / "test" / "components", root / "sdk" / "python" / "src")))
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        library.init(
            "local",
            num_cpus=4,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": path}},
            object_store_memory=100_000_000,
        )
        cls.cluster = ray("auto")

    @classmethod
    def tearDownClass(cls) -> None:
        library.shutdown()

    def test_a_cluster_that_is_away_is_an_error_to_retry(self) -> None:
        self.skipTest("A process has one connection to Ray, and this one is connected.")


del ClusterCases


class Away(unittest.TestCase):
    def test_a_cluster_that_is_away_is_an_error_to_retry(self) -> None:
        import cluster_tasks
        from towpath import flow, task
        from towpath._internal.cluster.errors import ClusterAway
        from towpath.test import run_flow

        made = task(runs_in=ray("auto"))(cluster_tasks.score)

        @flow
        def body() -> None:
            made(1, 2)

        run = run_flow(body)
        self.assertIsInstance(run.error, ClusterAway)
        self.assertIn("cannot be reached", str(run.error))


if __name__ == "__main__":
    unittest.main()
