"""Errors of clusters."""

from __future__ import annotations

from ..problem import NonRetryable, TowpathError


class ClusterAway(TowpathError):
    """The cluster cannot be reached, or the connection to it ended."""

    code = "cluster-away"


class ClusterWorkerDied(TowpathError):
    """The process of the cluster that ran a task ended. A retry of the task may succeed."""

    code = "cluster-worker-died"


class ClusterDiffers(NonRetryable):
    """A machine of the cluster has another Python, towpath or code than the flow's process, or lacks the task's module."""

    code = "cluster-differs"


class NotOnCluster(NonRetryable):
    """A task on a cluster used what only the flow's process has."""

    code = "not-on-cluster"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was called in a task that runs on a cluster.",
            next="Call it in the flow or in another task, and pass its value as an argument.",
        )
