"""Tasks on a Dask cluster of two processes on this machine."""

from __future__ import annotations

import logging
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk" / "python" / "src"))

from cluster_cases import ClusterCases, until
from distributed import LocalCluster
from towpath.dask import dask


class OnDask(ClusterCases):
    local: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        # Processes of the cluster, also those that replace dead ones, take this process's path.
        sys.path.insert(0, str(cls.folder))
        cls.local = LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address=None, silence_logs=logging.CRITICAL
        )
        cls.cluster = dask(cls.local.scheduler_address)
        cls.away = dask("tcp://127.0.0.1:1")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.local.close(timeout=10)

    def check_nothing_left(self) -> None:
        until(lambda: not self.local.scheduler.tasks)


del ClusterCases

if __name__ == "__main__":
    unittest.main()
