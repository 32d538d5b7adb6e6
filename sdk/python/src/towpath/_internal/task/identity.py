"""The paths of calls. Equal to the TypeScript engine's: see `call-identity.json` among the test vectors."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple
from urllib.parse import quote

from ..problem import TaskIdentityUnknown
from ..store.hashes import PLAIN_HASHES, Hashes
from ..text import is_well_formed, utf16_length

_PATH_CHARS_MAX = 1024
_KEY_CHARS_MAX = 80
_KEY_HASH_CHARS = 32
_SPECIAL = re.compile(r"[%/:#\x00-\x1f\x7f-\x9f]")


def _escaped(text: str) -> str:
    """Escapes the characters with a meaning in paths: `/` separates segments, `:` starts a key, `#` an ordinal."""
    return _SPECIAL.sub(lambda found: quote(found.group(), safe=""), text)


def _short_key(key: str, hashes: Hashes) -> str:
    plain = _escaped(key)
    whole = is_well_formed(key)
    if whole and utf16_length(plain) <= _KEY_CHARS_MAX:
        return plain
    data = key.encode("utf-8") if whole else key.encode("utf-16-le", "surrogatepass")
    return f"~{hashes.name(data)[:_KEY_HASH_CHARS]}"


class CallKey(NamedTuple):
    """The identity of a call: an explicit key (`given`), the hash of its input (`hash`), or nothing (`none`)."""

    kind: str
    text: str = ""


NO_KEY = CallKey("none")


class _Kind(NamedTuple):
    head: str
    """Prefix of the name in a path. An escaped name contains no colon."""
    alike: bool
    """Whether calls with the same input are interchangeable, because the result depends only on the input."""
    what: Callable[[str], str]
    next: Callable[[str], str]


_KEY_NEXT = "Give the call a key of its own, with the option key=..."
_ID_NEXT = "Give the call an id of its own, with the option id=..."

_KINDS = {
    "task": _Kind(
        "",
        True,
        lambda n: f'Task "{n}"',
        lambda n: f"Give the call a key of its own: {n if n.isidentifier() else 'task'}.with_options(key=...)(...).",
    ),
    "flow": _Kind(
        "flow:",
        True,
        lambda n: f'Flow "{n}"',
        lambda n: "Give each call parameters of its own, or call one after the other.",
    ),
    "value": _Kind(":", False, lambda n: f"{n}()", lambda n: f"Give the call a key: {n}(key=...)."),
    "wait": _Kind(
        "wait:", False, lambda n: f"suspend.{n}", lambda n: _ID_NEXT if n in ("event", "input", "run") else _KEY_NEXT
    ),
    "run": _Kind("", False, lambda n: f"start_run ({n})", lambda n: _KEY_NEXT),
}


def _segment(kind: str, name: str, key: CallKey, hashes: Hashes) -> str:
    head = _KINDS[kind].head + _escaped(name)
    if key.kind == "given":
        return f"{head}:{_short_key(key.text, hashes)}"
    return f"{head}:{key.text}" if key.kind == "hash" else head


def _joined(parent: str, segment: str) -> str:
    path = segment if parent == "" else f"{parent}/{segment}"
    if utf16_length(path) <= _PATH_CHARS_MAX:
        return path
    raise TaskIdentityUnknown(
        f"The path of a task run would be longer than {_PATH_CHARS_MAX} characters: "
        f'tasks are nested too deep under "{parent[:80]}…".'
    )


class _Made(NamedTuple):
    call: object
    before: _Made | None


_branch: ContextVar[_Made | None] = ContextVar("towpath_branch", default=None)


def _note_in_branch(call: object, again: object | None) -> None:
    latest = _branch.get()
    before = latest.before if again is not None and latest is not None and latest.call is again else latest
    _branch.set(_Made(call, before))


def _is_in_branch(call: object) -> bool:
    made = _branch.get()
    while made is not None:
        if made.call is call:
            return True
        made = made.before
    return False


class _Numbered:
    """The latest of equal calls, which only their order distinguishes."""

    __slots__ = ("_begun_before", "is_open", "overlapped")

    def __init__(self, ledger: CallLedger) -> None:
        self.is_open = True
        self.overlapped = ledger._open > 0
        self._begun_before = ledger._begun

    def close(self, begun: int) -> None:
        self.is_open = False
        self.overlapped = self.overlapped or begun > self._begun_before + 1


class NamedCall(NamedTuple):
    """A call with its path. `settled` marks it as ended."""

    path: str
    settled: Callable[[], None]


class CallLedger:
    """Gives the calls of one parent their identity: the parent's path, the name, the key or hash of the input, then the
    ordinal among equal keys. Neither time nor the order of completion matters.

    The ordinal of equal calls is stable only if they follow one another. In concurrent branches it is not, so such a call
    is refused, unless equal inputs make the calls interchangeable. It is allowed if it follows the equal call in its own
    branch. A branch is a context (`contextvars`): of a coroutine, or of a submitted task.
    """

    def __init__(self, parent: str, hashes: Hashes = PLAIN_HASHES) -> None:
        """@param hashes The run's: a long key is hashed."""
        self._parent = parent
        self._hashes = hashes
        self._ordinals: dict[str, int] = {}
        self._numbered: dict[str, _Numbered] = {}
        self._open = 0
        self._begun = 0
        self._lock = threading.Lock()

    def has_open(self) -> bool:
        """Whether a call has not ended."""
        return self._open > 0

    def name(self, name: str, key: CallKey, kind: str = "task") -> NamedCall:
        """Names a call and counts it as open until `settled` is called.

        Raises:
            TaskIdentityUnknown: for an equal call in concurrent branches.
        """
        segment = _segment(kind, name, key, self._hashes)
        is_numbered = key.kind != "hash" or not _KINDS[kind].alike
        with self._lock:
            before = self._numbered.get(segment) if is_numbered else None
            if before is not None and self._is_by_chance(before, key):
                raise _concurrent(name, kind, key)
            ordinal = self._ordinals.get(segment, 0) + 1
            path = _joined(self._parent, segment if ordinal == 1 else f"{segment}#{ordinal}")
            self._ordinals[segment] = ordinal
            call = _Numbered(self) if is_numbered else None
            self._open += 1
            self._begun += 1
            if call is not None:
                self._numbered[segment] = call
                _note_in_branch(call, before)
        return NamedCall(path, self._settle(call))

    def _settle(self, call: _Numbered | None) -> Callable[[], None]:
        is_open = True

        def settled() -> None:
            nonlocal is_open
            with self._lock:
                if not is_open:
                    return
                is_open = False
                self._open -= 1
                if call is not None:
                    call.close(self._begun)

        return settled

    def _is_by_chance(self, before: _Numbered, key: CallKey) -> bool:
        """Whether the order of a call and an equal earlier call may differ in another attempt."""
        ran_beside = before.is_open or before.overlapped
        if ran_beside and key.kind == "none":
            return True
        return (ran_beside or self._open > 0) and not _is_in_branch(before)


def _concurrent(name: str, kind: str, key: CallKey) -> TaskIdentityUnknown:
    without = "without input or key" if kind in ("task", "flow") else "without a key"
    how = without if key.kind == "none" else "with the same key or input"
    return TaskIdentityUnknown(
        f"{_KINDS[kind].what(name)} was called again {how} while other calls were running. "
        "The order of concurrent calls cannot identify them.",
        next=_KINDS[kind].next(name),
    )


def kept_path(parent: str, name: str, hashes: Hashes) -> str:
    """The path of a value that a task call, or the flow, has stored."""
    return _joined(parent, f":keep:{_short_key(name, hashes)}")


def mapped_path(map_path: str, *, index: int, key: str | None, ordinal: int, hashes: Hashes) -> str:
    """The path of one child of a `.map` call: the call's identity, then the item's key or index."""
    own = str(index) if key is None else _short_key(key, hashes)
    return _joined(map_path, own if ordinal == 1 else f"{own}#{ordinal}")
