"""The results that a run stores, and those of earlier attempts that it may reuse."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..clock import instant
from ..engine.host import Host
from ..problem import NotSerialisable, StoreFault
from ..store.codec import PICKLE, Encoded, Ref, encode, encode_result
from ..store.pickled import Owner
from ..store.places import Place
from ..store.unfit import Unfit
from .earlier import EarlierEnd, EarlierResults

_LARGE_BYTES = 50_000_000
_VERSION_CHARS = 16


class Facts(NamedTuple):
    """What a later attempt compares before it reuses a result."""

    code_version: str
    input_hash: str | None
    has_input: bool
    """False if the call's path identifies its input."""

    def reported(self) -> dict[str, str]:
        """The facts as records carry them."""
        told = {"codeVersion": self.code_version}
        if self.has_input and self.input_hash is not None:
            told["inputHash"] = self.input_hash
        return told


class Reused(NamedTuple):
    """A valid result of an earlier call. `is_recorded`: this run has already recorded it unchanged."""

    value: Any
    ref: Ref
    is_recorded: bool


def _text_version(fn: Callable[..., Any]) -> str:
    import inspect

    try:
        text = inspect.getsource(fn)
    except (OSError, TypeError):
        text = getattr(fn, "__qualname__", "")
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_VERSION_CHARS]


class Checkpoints:
    """Stores results and finds earlier ones. Safe for several threads."""

    def __init__(self, host: Host, keeps: bool | None) -> None:
        self._host = host
        self._warned: set[str] = set()
        self._lock = threading.Lock()
        self._versions: dict[Callable[..., Any], str] = {}
        self._returns: dict[Callable[..., Any], Any] = {}
        self.by_default = host.resume.keeps if keeps is None else keeps
        self.earlier = EarlierResults()

    def open(self) -> None:
        """Fetches what earlier attempts have left."""
        if self._host.resume.earlier is not None:
            self.earlier.fetch(self._host.resume.earlier)

    def code_version_of(self, name: str, version: str | None, fn: Callable[..., Any]) -> str:
        """The version of a task's code: what its author or the signed spec says, else what it reaches, else all code."""
        known = version or self._host.resume.code_versions.get(name)
        if known is not None:
            return known
        with self._lock:
            own = self._versions.get(fn)
        if own is None:
            # Deployed tasks have their versions from the signed spec.
            from ..code.version import code_version_of

            own = code_version_of(fn) or self._host.resume.code or _text_version(fn)
            with self._lock:
                self._versions[fn] = own
        return own

    def reuse(self, path: str, facts: Facts, source: Callable[..., Any]) -> Reused | None:
        """The result of an earlier call of a function at this path, if it is valid and can be loaded."""
        with self._lock:
            found = self.earlier.take_result(path)
        if found is None or found.ref is None or not self._holds(found, facts):
            return None
        try:
            value = self.load(found.ref, source, self._owner(path, facts))
        except StoreFault as fault:
            self.warn(path, f"The result of an earlier attempt cannot be loaded, so the task runs again: {fault}")
            return None
        return Reused(value, found.ref, self._is_recorded(found))

    def failure(self, path: str, facts: Facts) -> tuple[Mapping[str, Any], bool] | None:
        """The error of an earlier call at this path, if it must be raised again, and whether this run has recorded it."""
        with self._lock:
            found = self.earlier.take_failure(path)
        if found is None or found.error is None or not self._holds(found, facts):
            return None
        return found.error, self._is_recorded(found)

    def load(self, ref: Ref, source: Callable[..., Any], owner: Owner | None = None) -> Any:
        """The result of a function, with instances of the classes that it returns.

        Args:
            owner: what a pickled result belongs to. None: none is read.

        Raises:
            StoreFault: if it is not there, was changed or cannot be used.
        """
        if ref["codec"] == PICKLE and owner is not None:
            return self._host.pickles.read(self._host.store.read(ref), owner, ref["uri"])
        from ..store.shapes import restored

        value = self._host.store.load(ref)
        try:
            return restored(value, self.returns_of(source))
        except ValueError as cause:
            raise StoreFault(f"The value at {ref['uri']} cannot be used: {cause}.") from cause

    def returns_of(self, source: Callable[..., Any]) -> Any:
        """The return annotation of a function."""
        with self._lock:
            if source in self._returns:
                return self._returns[source]
        from ..store.shapes import returns_of

        found = returns_of(source)
        with self._lock:
            self._returns[source] = found
        return found

    def encode_with(self, value: object, source: Callable[..., Any], owner: Owner | None) -> Encoded:
        """A result of a function as bytes, with pickle if nothing else can hold it and the deployment allows that.

        Raises:
            NotSerialisable | RecursionError: if nothing can hold it.
        """
        try:
            return encode_result(value, "result", lambda: self.returns_of(source))
        except (NotSerialisable, RecursionError) as unfit:
            if owner is None:
                raise
            return self._host.pickles.write(value, owner, unfit)

    def keep(
        self,
        value: object,
        *,
        path: str,
        task: str,
        required: bool,
        source: Callable[..., Any],
        facts: Facts | None = None,
    ) -> Ref | None:
        """Stores a result of a function. None if it was not stored, which is one warning per task.

        Args:
            facts: what a later attempt compares. Without them, the result is not stored with pickle.

        Raises:
            NotSerialisable, StoreFault: if it is required.
        """
        try:
            owner = None if facts is None else self._owner(path, facts)
            ref = self._save(self.encode_with(value, source, owner), path, "result")
        except (NotSerialisable, StoreFault, RecursionError) as error:
            if required:
                raise
            self._warn_once(
                path,
                task,
                f'The result of task "{task}" is not stored, so a later attempt runs it again: {error} '
                "If this is intended, set checkpoint=False.",
            )
            return None
        if ref["sizeBytes"] >= _LARGE_BYTES:
            self._warn_once(
                path,
                f"{task} large",
                f'The result of task "{task}" has {round(ref["sizeBytes"] / 1e6)} MB. Each attempt that reuses it loads '
                "all of it. Write it to a file or a table, and return its address instead.",
            )
        return ref

    def keep_value(self, value: object, *, path: str, name: str) -> Ref:
        """Stores a named value, which then survives a crash of the machine. @raises NotSerialisable | StoreFault"""
        ref = self.save_value(value, path=path, name=name)
        self._host.store.sync()
        return ref

    def save_value(self, value: object, *, path: str, name: str) -> Ref:
        """Stores a named value. @raises NotSerialisable | StoreFault"""
        return self._save(encode(value, name), path, name)

    def keep_result(self, value: object) -> Ref:
        """Stores the result of the flow. Instances of classes become plain data. @raises NotSerialisable | StoreFault"""
        try:
            return self.keep_value(value, path="", name="result")
        except NotSerialisable:
            from ..store.shapes import lowered

            try:
                data = lowered(value)
            except (Unfit, RecursionError):
                data = value
            if data is value:
                raise
        return self.keep_value(data, path="", name="result")

    def sync(self) -> None:
        """Returns once all stored results survive a crash of the machine, or the log warns that they may not."""
        try:
            self._host.store.sync()
        except StoreFault as fault:
            self._warn_once("", "sync", str(fault))

    def warn(self, path: str, text: str) -> None:
        """Logs a warning about a call."""
        task = {} if path == "" else {"task": path}
        self._host.records.post({"type": "log", "at": instant(self._host.clock), "level": "warn", "text": text, **task})

    def _owner(self, path: str, facts: Facts) -> Owner:
        """What the result of a call belongs to. Reruns share their origin, so they can read results of the first run. The
        attempt is not part of it, because later attempts read the result."""
        run = self._host.facts
        origin = self._host.resume.origin
        return ("result", run.workspace_id, run.deployment, origin, path, facts.code_version, facts.input_hash)

    def _save(self, encoded: Encoded, path: str, name: str) -> Ref:
        facts = self._host.facts
        place = Place(facts.run_id, facts.attempt, path, name)
        return self._host.store.save(place, encoded)

    def _holds(self, found: EarlierEnd, facts: Facts) -> bool:
        return found.holds(facts.code_version, facts.input_hash, facts.has_input)

    def _is_recorded(self, found: EarlierEnd) -> bool:
        return found.own and self._host.resume.knows_earlier

    def _warn_once(self, path: str, about: str, text: str) -> None:
        with self._lock:
            if about in self._warned:
                return
            self._warned.add(about)
        self.warn(path, text)
