"""What earlier attempts have left: refs by path, never values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..store.codec import Ref


class EarlierEnd(NamedTuple):
    """The end of a call in an earlier attempt: a `ref`, or an `error`. `own` is False for the run that this reruns."""

    own: bool
    code_version: str | None
    input_hash: str | None
    ref: Ref | None = None
    error: Mapping[str, Any] | None = None

    def holds(self, code_version: str, input_hash: str | None, has_input: bool) -> bool:
        """Whether it is still valid for a call with these facts.

        Args:
            has_input: False if the call's path identifies its input.
            input_hash: None if the input cannot be compared.
        """
        if self.code_version != code_version:
            return False
        if has_input and input_hash is None:
            # In one run, a path stands for one call. In another run, the same key may have another input.
            return self.own and self.input_hash is None
        return input_hash == self.input_hash


class EarlierResults:
    """The results, failures and kept values of earlier attempts, by path. What was taken is dropped."""

    def __init__(self) -> None:
        self._ends: dict[str, EarlierEnd] = {}
        self._instants: dict[str, str] = {}
        self._values: dict[str, Ref] = {}
        self._words: dict[str, str] = {}

    def fetch(self, page_after: Callable[[str | None], Mapping[str, Any]]) -> None:
        """Fetches all pages. The later of two entries at one path counts."""
        after: str | None = None
        while True:
            page = page_after(after)
            for item in page["items"]:
                self.add(item)
            after = page.get("next")
            if after is None:
                return

    def take_result(self, path: str) -> EarlierEnd | None:
        """The result at a path. It can be taken once, because no other call has the same path."""
        found = self._ends.get(path)
        return self._ends.pop(path) if found is not None and found.ref is not None else None

    def take_failure(self, path: str) -> EarlierEnd | None:
        """The error of the call at a path, if it is not to be called again. It can be taken once."""
        found = self._ends.get(path)
        return self._ends.pop(path) if found is not None and found.error is not None else None

    def instant_at(self, path: str) -> str | None:
        """The recorded time at a path."""
        return self._instants.get(path)

    def value_at(self, path: str) -> Ref | None:
        """The stored value at a path of this run."""
        return self._values.get(path)

    def note_value(self, path: str, ref: Ref) -> None:
        """Adds a value of this attempt, so that a later try can continue from it."""
        self._values[path] = ref

    def add(self, item: Mapping[str, Any]) -> None:
        """Adds one item of `GET /checkpoints`."""
        path, result = item["path"], item.get("result")
        if item["kind"] == "task":
            self._add_end(path, item, result)
        elif result is None:
            self._instants[path] = item["at"]
        elif item["own"]:
            # Progress of another run is not used: it has no code version or input to compare.
            self._values[path] = result

    def _add_end(self, path: str, item: Mapping[str, Any], result: Ref | None) -> None:
        error = item.get("error")
        version = item.get("codeVersion")
        if version is not None:
            # Tens of thousands of results share a few versions.
            version = self._words.setdefault(version, version)
        if result is not None or error is not None:
            kept = None if result is not None else error
            self._ends[path] = EarlierEnd(item["own"], version, item.get("inputHash"), result, kept)
        elif path in self._ends and self._ends[path].error is not None:
            # A call that made the run fail is called again. An earlier valid result stays valid.
            del self._ends[path]
