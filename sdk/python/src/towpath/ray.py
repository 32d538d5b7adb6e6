"""Runs tasks on an existing Ray cluster. It needs `pip install "towpath[ray]"`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._internal.cluster.cluster import OpenCluster, Work
from ._internal.cluster.errors import ClusterWorkerDied
from ._internal.cluster.remote import RemoteCall, run_call

__all__ = ["Ray", "ray"]


@dataclass(frozen=True)
class Ray:
    """A Ray cluster, as the value of `runs_in`."""

    address: str
    cpus: float = 1
    gpus: float = 0
    resources: tuple[tuple[str, float], ...] = ()

    def open(self) -> OpenCluster:
        """Makes it ready for one run. It connects with the first call."""
        return OpenCluster(f"Ray cluster at {self.address}", lambda: _Connection(self))


def ray(address: str, *, cpus: float = 1, gpus: float = 0, resources: dict[str, float] | None = None) -> Ray:
    """An existing Ray cluster for the option `runs_in`. The engine stays in the flow's process.

    A process has one connection to Ray. If the author's code has connected it already, that connection is used.

    Args:
        address: such as `ray://head:10001`, or `auto` on a machine of the cluster.
        cpus: the cores that each call takes.
        gpus: the GPUs that each call takes.
        resources: the custom resources of Ray that each call takes.

    Example:
        @task(runs_in=ray("auto", gpus=1), concurrency=64, retries=2)
        def score(depth: int, path: str) -> float: ...
    """
    return Ray(address, cpus, gpus, tuple(sorted((resources or {}).items())))


class _Connection:
    def __init__(self, cluster: Ray) -> None:
        import ray as package

        library: Any = package
        self._library = library
        self._is_own = not library.is_initialized()
        if self._is_own:
            library.init(cluster.address, log_to_driver=False, configure_logging=False)
        # The engine repeats calls, so Ray must not.
        options = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus, "max_retries": 0}
        self._function: Any = library.remote(**options, resources=dict(cluster.resources) or None)(run_call)

    def submit(self, call: RemoteCall, arguments: bytes) -> Work:
        reference = self._function.options(name=f"towpath {call.task}").remote(call, arguments)
        return _Work(self._library, reference)

    def close(self) -> None:
        if self._is_own:
            self._library.shutdown()


class _Work:
    def __init__(self, library: Any, reference: Any) -> None:
        self._library = library
        self._reference = reference
        self._future: Any = reference.future()

    def when_done(self, then: Callable[[], None]) -> None:
        self._future.add_done_callback(lambda _: then())

    def result(self) -> Any:
        errors = self._library.exceptions
        died = (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError, errors.ObjectLostError)
        try:
            return self._future.result()
        except died as error:
            raise ClusterWorkerDied(
                f"The process of the Ray cluster that ran the task ended: {str(error).splitlines()[0]}",
                next="Look at Ray's log of that machine. Often its memory ran out.",
            ) from error
        except errors.RayTaskError as error:
            raise error.as_instanceof_cause() from None

    def cancel(self) -> None:
        # Kills the process of the call: nothing else stops a function.
        self._library.cancel(self._reference, force=True)

    def release(self) -> None:
        self._reference = self._future = None
