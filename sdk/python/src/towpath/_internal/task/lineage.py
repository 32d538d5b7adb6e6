"""Which calls of a run returned which values."""

from __future__ import annotations

import enum
import re
import threading
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from ..store.refs import is_ref
from .known_values import KnownValues, content_of

_VISITS_MAX = 1_000
"""The most values that one search looks at: the arguments of a call, or its result."""
_REFS_MAX = 10_000
"""The most refs with known producers. The oldest are forgotten first."""
_PATHS_MAX = 20
_CHARS_MAX = 4096
_KEY = re.compile(r"(?::[^/:#]*)?(?:#\d+)?$")
_ANYWHERE = (str, int, float, complex, type(None), enum.Enum, type, types.FunctionType, types.ModuleType)
"""Equal ones may be from anywhere, so they are not followed."""


class Producer(NamedTuple):
    """A call that returned a value. `map` is the path of the map that made the call, if one did."""

    path: str
    map: str | None = None


Producers = tuple[Producer, ...]
Found = TypeVar("Found")


def _is_followed(value: object) -> bool:
    return not issubclass(type(value), _ANYWHERE)


class Lineage:
    """Knows which calls of a run returned which values. It follows objects by their identity and refs by their address. Safe
    for several threads.

    An empty tuple of producers: calls returned the object independently of each other, so its producer is not known.
    """

    def __init__(self) -> None:
        self._known: KnownValues[Producers] = KnownValues()
        self._refs: OrderedDict[str, Producers] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, values: Iterable[object]) -> Producers:
        """The calls that returned these values, values inside them, or values that they are inside of."""
        followed = [value for value in values if _is_followed(value)]
        return self._locked(lambda: self._of(followed)) if followed else ()

    def note(self, result: object, producer: Producer, upstream: Producers) -> None:
        """Remembers what a call returned.

        If the call received an object and returns it, it becomes the object's only producer, as for a new object. So does a
        call for the results of the calls inside it.
        """
        if not _is_followed(result):
            return
        above = {one.path for one in upstream}
        inside = f"{producer.path}/"
        own = (producer,)

        def is_from_above(one: Producer) -> bool:
            return one.path == producer.path or one.path.startswith(inside) or one.path in above or one.map in above

        def look(value: object) -> bool:
            before = self._get(value)
            is_own = before is None or (len(before) > 0 and all(map(is_from_above, before)))
            self._set(value, own if is_own else ())
            return is_own

        self._locked(lambda: _search([result], look))

    def of_collection(self, items: object) -> Producers:
        """The calls that returned the items of a map together."""
        return self._locked(lambda: self._known.get(items) or ())

    def of_item(self, item: object, collection: Producers) -> Producers:
        """The calls that one item of a map came from: those of the item if a map made the collection, else those of the
        collection, else those of the item."""
        one = self.of([item])
        if not collection:
            return one
        paths = {producer.path for producer in collection}
        return one if one and all(producer.map in paths for producer in one) else collection

    def note_results(self, results: object, map: str) -> None:
        """Remembers that a collection has the results of a map's calls. Each result keeps its own call."""
        self._locked(lambda: self._known.set(results, (Producer(map),)))

    def note_saved(self, ref: object, value: object, path: str) -> None:
        """Remembers that a value was saved under this ref, in the call at a path. Empty: in the flow's own function."""
        producers = self.of([value]) if path == "" else (Producer(path),)
        if producers:
            self._mark(ref, producers)

    def note_loaded(self, value: object, ref: object) -> None:
        """Remembers that a value was loaded from a ref."""
        producers = self.of([ref])
        if producers and _is_followed(value):
            self._mark(value, producers)

    def _mark(self, value: object, producers: Producers) -> None:
        def look(one: object) -> bool:
            self._set(one, producers)
            return True

        self._locked(lambda: _search([value], look))

    def _get(self, value: object) -> Producers | None:
        known = self._known.get(value)
        return self._refs.get(value["uri"]) if known is None and is_ref(value) else known

    def _set(self, value: object, producers: Producers) -> None:
        self._known.set(value, producers)
        if is_ref(value):
            self._refs.pop(value["uri"], None)
            self._refs[value["uri"]] = producers
            while len(self._refs) > _REFS_MAX:
                self._refs.popitem(last=False)

    def _of(self, values: Sequence[object]) -> Producers:
        found: dict[Producer, None] = {}

        def look(value: object) -> bool:
            producers = self._get(value)
            found.update(dict.fromkeys(producers or ()))
            return producers is None

        _search(values, look)
        return tuple(found)

    def _locked(self, work: Callable[[], Found]) -> Found:
        with self._lock:
            found = work()
            forgotten = self._known.sweep()
        # Outside of the lock: the end of an object may call the author's code.
        forgotten.clear()
        return found


def _search(roots: Sequence[object], look: Callable[[object], bool]) -> None:
    """Searches values level by level, up to _VISITS_MAX.

    Args:
        look: returns whether to look inside of the value, too.
    """
    seen: dict[int, object] = {}
    queue = list(islice(roots, _VISITS_MAX))
    left = _VISITS_MAX - len(queue)
    # A list is iterated with the entries that are added meanwhile.
    for value in queue:
        if not _is_followed(value) or id(value) in seen:
            continue
        seen[id(value)] = value
        if not look(value):
            continue
        inside = content_of(value, left)
        left -= len(inside)
        queue.extend(inside)


def _kind_of(producer: Producer) -> str:
    """A call without its key: the calls that graphs and lists draw as one."""
    return producer.map or _KEY.sub("", producer.path)


def _mixed(producers: Iterable[Producer]) -> list[str]:
    """The paths, with those of one kind apart from each other, so that a bounded list has some of each kind."""
    kinds: dict[str, list[str]] = {}
    for one in producers:
        kinds.setdefault(_kind_of(one), []).append(one.path)
    longest = min(max(map(len, kinds.values())), _PATHS_MAX)
    return [paths[at] for at in range(longest) for paths in kinds.values() if at < len(paths)]


def _chars(path: str) -> int:
    """The length as the control plane counts it."""
    return len(path) if path.isascii() else len(path.encode("utf-16-le", "surrogatepass")) // 2


def upstream_fact(producers: Producers) -> dict[str, Any]:
    """The producers of a call's arguments for its first record. The list is bounded."""
    if not producers:
        return {}
    all_paths = list(dict.fromkeys(one.path for one in producers))
    paths: list[str] = []
    chars = 0
    for path in dict.fromkeys(_mixed(producers)) if len(all_paths) > _PATHS_MAX else all_paths:
        chars += _chars(path)
        if len(paths) == _PATHS_MAX or chars > _CHARS_MAX:
            break
        paths.append(path)
    more = {"more": True} if len(paths) < len(all_paths) else {}
    return {"upstream": {"paths": paths, **more}} if paths else {}
