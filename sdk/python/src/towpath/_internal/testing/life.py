"""The life of one attempt in a test. After its end, no call of the attempt is answered, so that neither its `except` nor
its `finally` runs, as after `kill -9`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Union

from ..problem import InvalidDefinition
from ..store.codec import Encoded, Ref
from ..store.named import NamedValue
from ..store.places import Place

KillAfter = Union[int, str]
"""A count of completed tasks, or the name or path of one."""
Value = TypeVar("Value")
Record = Mapping[str, Any]


class Life:
    """Ends at the record that the test names."""

    def __init__(self, kill_after: KillAfter | None) -> None:
        is_count = isinstance(kill_after, int) and not isinstance(kill_after, bool) and kill_after >= 1
        if kill_after is not None and not is_count and not isinstance(kill_after, str):
            raise InvalidDefinition(
                f"kill_after is {kill_after!r}: give a count of completed tasks from 1, or a task's name."
            )
        self._kill_after = kill_after
        self._lock = threading.Lock()
        self._completed = 0
        self.is_over = False
        self.ended = threading.Event()
        """Set when the attempt is over in any way."""

    def use(self, work: Callable[[], Value]) -> Value:
        """Does work for the attempt. If its life ends before or meanwhile, this never returns."""
        self._stay()
        value = work()
        self._stay()
        return value

    def note_held(self, record: Record) -> None:
        """Checks a stored record: it may be the one to kill after."""
        if record["type"] != "task" or record["move"] != "complete":
            return
        with self._lock:
            self._completed += 1
            if isinstance(self._kill_after, int):
                is_last = self._completed >= self._kill_after
            else:
                is_last = self._kill_after in (record["name"], record["path"])
            if is_last:
                self.end()

    def end(self) -> None:
        """Ends the life now."""
        self.is_over = True
        self.ended.set()

    def _stay(self) -> None:
        while self.is_over:
            # The thread of a killed attempt. It is a daemon, and ends with the test's process.
            threading.Event().wait()


class MortalRecords:
    """Stores records until the attempt's life ends."""

    def __init__(self, records: list[Record], life: Life) -> None:
        self._records = records
        self._life = life
        self._lock = threading.Lock()

    def post(self, record: Record) -> None:
        self._life.use(lambda: self._keep(record))

    def post_held(self, record: Record) -> None:
        self.post(record)

    def post_stored(self, record: Record) -> None:
        self.post(record)

    def when_held(self, record: Record, then: Callable[[BaseException | None], None]) -> None:
        if self._life.is_over:
            return
        self._keep(record)
        if not self._life.is_over:
            then(None)

    def _keep(self, record: Record) -> None:
        with self._lock:
            if self._life.is_over:
                return
            self._records.append(record)
        self._life.note_held(record)


class MortalStore:
    """A store that answers only while the attempt lives."""

    def __init__(self, store: Any, life: Life) -> None:
        self._store = store
        self._life = life
        self.hashes = store.hashes

    def save(self, place: Place, encoded: Encoded) -> Ref:
        return self._life.use(lambda: self._store.save(place, encoded))  # type: ignore[no-any-return]

    def save_as(self, name: str, encoded: Encoded, *, saved_at: str, run_id: str) -> Ref:
        return self._life.use(lambda: self._store.save_as(name, encoded, saved_at=saved_at, run_id=run_id))  # type: ignore[no-any-return]

    def find(self, name: str) -> NamedValue | None:
        return self._life.use(lambda: self._store.find(name))  # type: ignore[no-any-return]

    def sync(self) -> None:
        self._life.use(self._store.sync)

    def load(self, ref: Ref) -> Any:
        return self._life.use(lambda: self._store.load(ref))

    def read(self, ref: Ref) -> bytes:
        return self._life.use(lambda: self._store.read(ref))  # type: ignore[no-any-return]

    def has(self, ref: Ref) -> bool:
        return self._life.use(lambda: self._store.has(ref))  # type: ignore[no-any-return]
