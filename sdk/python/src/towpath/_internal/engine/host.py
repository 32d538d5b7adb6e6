"""The environment of a running flow: a worker's gateway, a terminal or a test. The engine is the same in all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..clock import Clock
from ..resources.stage import staged_settings
from ..store.codec import Encoded, Ref
from ..store.hashes import Hashes
from ..store.named import NamedValue
from ..store.pickled import NO_PICKLES, Pickles
from ..store.places import Place
from .cancel import Cancel
from .due import Due

if TYPE_CHECKING:
    from ..watchdog.watchdog import Watchdog

Page = Mapping[str, Any]


class Records(Protocol):
    """Takes a run's records, as the run protocol has them."""

    def post(self, record: Mapping[str, Any]) -> None:
        """Adds a record that nobody waits for."""

    def post_held(self, record: Mapping[str, Any]) -> object:
        """Returns once the record cannot be lost with this process."""

    def when_held(self, record: Mapping[str, Any], then: Callable[[BaseException | None], None]) -> None:
        """Calls a function once the record cannot be lost with this process."""

    def post_stored(self, record: Mapping[str, Any]) -> None:
        """Returns once the control plane has the record."""


class Store(Protocol):
    """Saves and loads values on the customer's side."""

    @property
    def hashes(self) -> Hashes:
        """The hashes of what leaves with the run."""
        ...

    def save(self, place: Place, encoded: Encoded) -> Ref: ...

    def save_as(self, name: str, encoded: Encoded, *, saved_at: str, run_id: str) -> Ref: ...

    def find(self, name: str) -> NamedValue | None: ...

    def sync(self) -> None: ...

    def load(self, ref: Ref) -> Any: ...

    def read(self, ref: Ref) -> bytes: ...

    def has(self, ref: Ref) -> bool: ...


INLINE_ARTIFACT_BYTES = 32 * 1024
"""The largest body of an artifact that leaves the network."""
STORED_ARTIFACT_BYTES = 1_000_000
"""The largest body that a worker with workspace keys keeps in its store."""


@dataclass(frozen=True)
class Resume:
    """What a run resumes from, and how it tells whether an earlier result is still valid."""

    origin: str
    """The first run of a chain of reruns."""
    code_versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of tasks by name."""
    code: str | None = None
    """The version of every other task. None where nobody knows: its function's own text counts."""
    earlier: Callable[[str | None], Page] | None = None
    """Where results of earlier attempts come from; None for a first attempt."""
    keeps: bool = False
    """Whether results are kept unless a task says so: only where a later attempt can find them."""
    knows_earlier: bool = False
    """Whether the reader of this attempt's records also has those of earlier attempts."""


class Waits(Protocol):
    """Stores the waits of a flow."""

    @property
    def suspends(self) -> bool:
        """Whether the process ends while the flow only waits."""
        ...

    def ask(self, path: str, wait: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state of the wait at a path. The first call makes it."""
        ...

    def listen(self, listener: Callable[[list[str]], None]) -> None:
        """Calls a function with the paths of waits that are over."""


@dataclass(frozen=True)
class Facts:
    """What a flow can read about its run."""

    run_id: str
    """The run's id."""
    attempt_id: str
    """The attempt's id."""
    attempt: int
    """Ordinal of the attempt, from 1."""
    workspace_id: str
    """The id of the workspace."""
    deployment: str
    """The name of the deployment, with its stage."""
    version: int
    """The version of the deployment."""
    scheduled_at: str
    """When the attempt was to start, as `2026-01-31T09:00:00.000Z`."""
    due: Due | None = None
    """The due time of a scheduled run and its data interval; None if the run is not scheduled."""
    control_plane: str = ""
    """The address of the control plane. Empty without a worker."""
    task_path: str | None = None
    """The path of the current task run. None in the flow's own function."""
    artifact_bytes: int = STORED_ARTIFACT_BYTES
    """The largest body of an artifact, bytes of JSON. Without a worker nothing leaves, so it is what any worker may take."""


@dataclass(frozen=True)
class Host:
    """Everything that a run needs from its surroundings."""

    facts: Facts
    parameters: Any
    records: Records
    store: Store
    resume: Resume
    clock: Clock
    random: Callable[[], float]
    secret: Callable[[str], str]
    call: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    waits: Waits
    cancel: Cancel
    end_process: Callable[[], None]
    """Ends the process of a suspended run. It may return in a test: then the flow's thread never goes on."""
    settings_of: Callable[[str], Any] = staged_settings
    """The stage's settings of a resource. None: it has none."""
    fakes: Mapping[str, Any] = field(default_factory=dict)
    """A test's values of resources, by name."""
    pool_of: Callable[[str], str] | None = None
    """The pool of this stage for a pool that the code names. None: tasks run in this process."""
    watchdog: Watchdog | None = None
    """Kills the process if a try with a time limit blocks it. None if nothing may be killed."""
    task: Mapping[str, Any] | None = None
    """The task to run and its arguments. None: to run the whole flow."""
    pickles: Pickles = NO_PICKLES
    """How results are stored that only pickle can hold."""
