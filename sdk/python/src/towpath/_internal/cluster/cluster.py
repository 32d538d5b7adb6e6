"""Runs calls of tasks on a cluster, as the flow's process sees it. Identity, checkpoints, retries and time limits stay here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..engine.cancel import Cancel
from ..problem import Cancelled, InvalidDefinition
from ..process.children import _pickled, _unpickled
from ..process.place import place_of
from ..process.wire import unpacked_error
from ..task.identity import CallLedger
from .errors import ClusterAway, ClusterDiffers
from .remote import Remote, RemoteCall
from .versions import Versions, versions_of

if TYPE_CHECKING:
    from ..task.run_task import TaskCall

_NO_TOWPATH = "No module named 'towpath"


class Work(Protocol):
    """A call that was given to a cluster."""

    def when_done(self, then: Callable[[], None]) -> None:
        """Calls a function once, in any thread, when the call has ended in any way."""

    def result(self) -> Any:
        """What the call returned. @raises ClusterWorkerDied | ClusterAway"""

    def cancel(self) -> None:
        """Asks the cluster to stop the call. Does not wait."""

    def release(self) -> None:
        """Lets the cluster forget the call and its result."""


class Connection(Protocol):
    """A connection to a cluster."""

    def submit(self, call: RemoteCall, arguments: bytes) -> Work:
        """Gives a call to the cluster. @raises ClusterAway"""
        ...

    def close(self) -> None:
        """Ends the connection, not the cluster."""


class OpenCluster:
    """A cluster in use by one run. It connects with the first call. Safe for several threads."""

    def __init__(self, name: str, connect: Callable[[], Connection]) -> None:
        """@param name as messages show it: `Dask cluster at tcp://…`"""
        self._name = name
        self._connect = connect
        self._connection: Connection | None = None
        self._connecting = threading.Lock()
        self._versioning = threading.Lock()
        self._versions: dict[Any, tuple[Versions, frozenset[str]]] = {}
        self._is_over = False

    def call(self, call: TaskCall, calls: CallLedger, cancel: Cancel) -> Any:
        """Runs one try of a call, and returns its result.

        Raises:
            ClusterDiffers: names both versions.
            ClusterWorkerDied, ClusterAway: a retry may succeed.
            BaseException: what the function raised, or the reason to stop. Then the call was cancelled.
        """
        arguments = _pickled(call)
        work = self._connected().submit(self._head_of(call), arguments)
        over = threading.Event()
        forget = cancel.listen(lambda _: over.set())
        is_done = threading.Event()

        def done() -> None:
            is_done.set()
            over.set()

        try:
            work.when_done(done)
            over.wait()
            if not is_done.is_set():
                work.cancel()
                cancel.raise_if_asked()
            told: Remote = self._checked(call, work.result)
        finally:
            forget()
            work.release()
        records = call.scope.run.host.records
        for record in told.records:
            records.post(record)
        if not told.is_value:
            raise unpacked_error(told.packed)
        return _unpickled(call, told.packed)

    def close(self) -> None:
        """Ends the connection."""
        with self._connecting:
            self._is_over = True
            connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:
                # The run has its outcome. The connection ends with this process.
                return

    def _connected(self) -> Connection:
        with self._connecting:
            if self._is_over:
                raise Cancelled("the flow has ended")
            if self._connection is None:
                try:
                    self._connection = self._connect()
                except ImportError as error:
                    extra = self._name.partition(" ")[0].lower()
                    raise InvalidDefinition(
                        f"The {self._name} needs the package {error.name}, which this Python does not have.",
                        next=f'Install the extra: pip install "towpath[{extra}]".',
                    ) from error
                except (OSError, RuntimeError, ValueError, ConnectionError) as error:
                    raise ClusterAway(
                        f"The {self._name} cannot be reached: {str(error).rstrip('.')}.",
                        next="Check its address, and that it runs.",
                    ) from error
            return self._connection

    def _checked(self, call: TaskCall, result: Callable[[], Any]) -> Remote:
        try:
            told = result()
        except Exception as error:
            # Each library wraps it in another class.
            if _NO_TOWPATH not in str(error):
                raise
            raise ClusterDiffers(
                f'Task "{call.options.name}" cannot run on the {self._name}: a machine of it has no package towpath.',
                next="Install it there, of the same version as in the flow's environment.",
            ) from None
        if not isinstance(told, Remote):
            raise ClusterDiffers(f"The {self._name} returned a value that is not the one of the call.")
        return told

    def _head_of(self, call: TaskCall) -> RemoteCall:
        place = place_of(call.options.name, call.source)
        if place.file is not None:
            raise InvalidDefinition(
                f'task "{call.options.name}" is in {place.file}, which a cluster cannot import by a name.',
                next="Move it to a module, and import it.",
            )
        with self._versioning:
            if place not in self._versions:
                self._versions[place] = versions_of(call.source, None)
            versions, tops = self._versions[place]
        run = call.scope.run
        return RemoteCall(
            task=call.options.name,
            path=call.path,
            place=place,
            versions=versions,
            tops=tops,
            facts=run.host.facts,
            flow=run.flow,
        )
