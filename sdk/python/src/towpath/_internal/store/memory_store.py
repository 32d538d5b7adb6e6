"""A store in memory, for tests."""

from __future__ import annotations

import threading
from typing import Any

from ..problem import StoreFault
from .codec import Encoded, Ref, decode
from .named import NamedValue, value_path
from .places import Place
from .written import PLAIN, Writing


class MemoryStore:
    """Keeps encoded values, so that a loaded value is another object than the saved one."""

    def __init__(self, writing: Writing = PLAIN) -> None:
        self._writing = writing
        self.hashes = writing.hashes
        self._values: dict[str, bytes] = {}
        self._named: dict[str, NamedValue] = {}
        self._lock = threading.Lock()

    def save(self, place: Place, encoded: Encoded) -> Ref:
        encoded = self._writing.written(encoded)
        uri = f"memory:///{place.path_of(encoded)}"
        with self._lock:
            self._values[uri] = encoded.data
        return {"uri": uri, "codec": encoded.codec, "sizeBytes": len(encoded.data), "sha256": encoded.sha256}

    def save_as(self, name: str, encoded: Encoded, *, saved_at: str, run_id: str) -> Ref:
        encoded = self._writing.written(encoded)
        uri = f"memory:///{value_path(name, encoded)}"
        ref: Ref = {"uri": uri, "codec": encoded.codec, "sizeBytes": len(encoded.data), "sha256": encoded.sha256}
        with self._lock:
            self._values[uri] = encoded.data
            self._named[name] = NamedValue(ref, saved_at, run_id)
        return ref

    def find(self, name: str) -> NamedValue | None:
        return self._named.get(name)

    def sync(self) -> None:
        """Nothing here survives the process."""

    def load(self, ref: Ref) -> Any:
        return decode(self.read(ref), codec=ref["codec"], uri=ref["uri"])

    def read(self, ref: Ref) -> bytes:
        data = self._values.get(ref["uri"])
        if data is None:
            raise StoreFault(f"There is no value at {ref['uri']}.")
        return self._writing.content(ref, data)

    def has(self, ref: Ref) -> bool:
        return len(self._values.get(ref["uri"], b"")) == ref["sizeBytes"] and ref["uri"] in self._values
