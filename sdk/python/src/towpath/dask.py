"""Runs tasks on an existing Dask cluster. It needs `pip install "towpath[dask]"`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ._internal.cluster.cluster import OpenCluster, Work
from ._internal.cluster.errors import ClusterAway, ClusterWorkerDied
from ._internal.cluster.remote import RemoteCall, run_call

__all__ = ["Dask", "dask"]

_CONNECT_S = 10


@dataclass(frozen=True)
class Dask:
    """A Dask cluster, as the value of `runs_in`."""

    address: str
    resources: tuple[tuple[str, float], ...] = ()

    def open(self) -> OpenCluster:
        """Makes it ready for one run. It connects with the first call."""
        return OpenCluster(f"Dask cluster at {self.address}", lambda: _Connection(self))


def dask(address: str, *, resources: dict[str, float] | None = None) -> Dask:
    """An existing Dask cluster for the option `runs_in`. The engine stays in the flow's process.

    Args:
        address: of the scheduler, such as `tcp://scheduler:8786`.
        resources: the abstract resources of Dask that each call takes, such as `{"GPU": 1}`.

    Example:
        @task(runs_in=dask("tcp://scheduler:8786"), concurrency=64, retries=2)
        def score(depth: int, path: str) -> float: ...
    """
    return Dask(address, tuple(sorted((resources or {}).items())))


class _Connection:
    def __init__(self, cluster: Dask) -> None:
        import distributed

        library: Any = distributed
        self._resources = dict(cluster.resources)
        # Not the default client: the author may have one.
        self._client: Any = library.Client(
            cluster.address, set_as_default=False, timeout=_CONNECT_S, heartbeat_interval="5s", name="towpath"
        )

    def submit(self, call: RemoteCall, arguments: bytes) -> Work:
        try:
            # A key of its own: equal calls must not share a result, or an error.
            key = f"towpath-{call.task}-{uuid4().hex}"
            future = self._client.submit(
                run_call, call, arguments, key=key, pure=False, resources=self._resources or None
            )
        except (OSError, RuntimeError) as error:
            raise ClusterAway(f"The Dask cluster cannot be reached: {error}") from error
        return _Work(future)

    def close(self) -> None:
        self._client.close()


class _Work:
    def __init__(self, future: Any) -> None:
        self._future = future

    def when_done(self, then: Callable[[], None]) -> None:
        self._future.add_done_callback(lambda _: then())

    def result(self) -> Any:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            return self._future.result()
        except KilledWorker as error:
            raise ClusterWorkerDied(
                f"The process of the Dask cluster that ran the task ended, each time that it was tried: {error}",
                next="Look at the log of the cluster's worker. Often its memory ran out.",
            ) from error
        except CancelledError as error:
            raise ClusterAway(f"The Dask cluster has lost the call: {error}") from error

    def cancel(self) -> None:
        self._future.cancel()

    def release(self) -> None:
        self._future.release()
