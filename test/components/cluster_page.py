"""Runs a command with the address of a Dask cluster on this machine in DASK_ADDRESS."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

if __name__ == "__main__":
    from distributed import LocalCluster

    sys.path.insert(0, os.getcwd())
    with LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as cluster:
        env = {**os.environ, "DASK_ADDRESS": cluster.scheduler_address}
        code = subprocess.run([sys.executable, *sys.argv[1:]], env=env).returncode
    sys.exit(code)
