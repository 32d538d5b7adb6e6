"""The results of a task that all runs share. `cache` says which calls are equal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..clock import datetime_of, instant
from ..problem import InvalidDefinition, NotSerialisable, StoreFault
from ..store.codec import PICKLE, Ref
from ..store.hashes import Hashes
from ..store.named import NamedValue
from ..store.pickled import Owner
from ..store.places import safe_part
from ..store.refs import gone_ref
from ..task.durations import Duration, ms_of
from ..task.input_hash import hash_input

if TYPE_CHECKING:
    from ..task.run_task import TaskCall

_FOLDER = "cache"
_KEY_CHARS = 40
_OWN_CHARS = 16
_NEXT = "Pass plain data, or set cache=Cache(by=...) to a function that returns a key."

CacheBy = Literal["input", "code"] | Callable[..., str]
"""What makes two calls equal: their arguments, the version of their code, or a key made of the arguments."""


@dataclass(frozen=True)
class Cache:
    """When the result of an earlier call, in any run, is reused."""

    by: CacheBy | Sequence[CacheBy] = ("input", "code")
    """All of these together."""
    expires: Duration | None = None
    """How long a result holds. None: for as long as the store has it."""
    refresh: bool = False
    """Calls the task although there is a result, and keeps the new one."""

    def __post_init__(self) -> None:
        parts = self.parts()
        if len(parts) == 0 or not all(one in ("input", "code") or callable(one) for one in parts):
            raise InvalidDefinition('cache: by must be "input", "code", a function that returns a key, or several.')
        if self.expires is not None and ms_of("cache: expires", self.expires) <= 0:
            raise InvalidDefinition("cache: expires must be more than 0.")

    def parts(self) -> tuple[CacheBy, ...]:
        """What `by` says, as a tuple."""
        by: Any = (self.by,) if isinstance(self.by, str) or callable(self.by) else self.by
        return tuple(by)


class TaskCache:
    """The cache of one call."""

    def __init__(self, call: TaskCall, cache: Cache, code_version: Callable[[], str]) -> None:
        """@raises NotData if arguments that identify the call are not data."""
        self._call = call
        self._cache = cache
        version = code_version() if "code" in cache.parts() else ""
        each = call.scope.run.host.store.hashes.each
        # The name by the current key, then those by older ones, so that a new key loses no value.
        self._names = [_name_of(call, cache, version, hashes) for hashes in each]

    def find(self) -> tuple[Any, Ref] | None:
        """The result of an equal earlier call and its ref, unless it has expired or cannot be loaded, or a value
        that it refers to is gone. It logs which."""
        host = self._call.scope.run.host
        for name in [] if self._cache.refresh else self._names:
            for place in [self._own_name(name), name] if host.pickles.is_on else [name]:
                entry = host.store.find(place)
                found = None if entry is None or self._has_expired(entry) else self._load(entry, name)
                if found is not None:
                    return found
        return None

    def _load(self, entry: NamedValue, name: str) -> tuple[Any, Ref] | None:
        run = self._call.scope.run
        try:
            value = run.checkpoints.load(entry.ref, self._call.source, self._owner(name))
            # The run that saved this value may have been removed from the store.
            gone = gone_ref(run.host.store, value)
            if gone is not None:
                raise StoreFault(f"It refers to {gone['uri']}, which is gone.")
        except StoreFault as fault:
            self._call.warn(f"runs, because its cached result cannot be loaded: {fault}")
            return None
        self._call.say("info", f"took its result from the cache: run {entry.run_id} stored it at {entry.saved_at}.")
        return value, entry.ref

    def keep(self, value: object) -> None:
        """Stores a result for later calls. A failure is a warning."""
        host = self._call.scope.run.host
        try:
            name = self._names[0]
            encoded = self._call.scope.run.checkpoints.encode_with(value, self._call.source, self._owner(name))
            host.store.save_as(
                self._own_name(name) if encoded.codec == PICKLE else name,
                encoded,
                saved_at=instant(host.clock),
                run_id=host.facts.run_id,
            )
        except (NotSerialisable, StoreFault) as fault:
            self._call.warn(f"could not store its result in the cache: {fault}")

    def _own_name(self, name: str) -> str:
        """Pickled results have a name of their deployment, because another deployment has other keys."""
        own = hashlib.sha256(self._call.scope.run.host.facts.deployment.encode()).hexdigest()
        return f"{name}-{own[:_OWN_CHARS]}"

    def _owner(self, name: str) -> Owner:
        """What a pickled result belongs to: runs of the deployment share it, like every cached result."""
        facts = self._call.scope.run.host.facts
        return ("cache", facts.workspace_id, facts.deployment, name)

    def _has_expired(self, entry: NamedValue) -> bool:
        if self._cache.expires is None:
            return False
        try:
            saved_ms = datetime_of(entry.saved_at).timestamp() * 1000
        except ValueError:
            # A time that cannot be read counts as expired.
            return True
        age_ms = self._call.scope.run.host.clock.now_ms() - saved_ms
        return age_ms >= ms_of("cache: expires", self._cache.expires)


def _name_of(call: TaskCall, cache: Cache, code_version: str, hashes: Hashes) -> str:
    deployment = call.scope.run.host.facts.deployment
    _, sign, stage = deployment.partition("@")
    # Stages may share a store, and their resources differ.
    parts: list[list[str]] = [["stage", stage]] if sign else []
    for by in cache.parts():
        if by == "code":
            parts.append(["code", code_version])
        elif by == "input":
            parts.append(["input", hash_input(f'Task "{call.options.name}"', call.told(), hashes, _NEXT)])
        else:
            parts.append(["key", _key_of(call, by)])
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    # Half a surrogate pair is escaped, as JavaScript's JSON does it. In JSON, UTF-8 cannot encode it otherwise.
    key = hashes.name(text.encode("utf-8", "backslashreplace"))[:_KEY_CHARS]
    return f"{_FOLDER}/{safe_part(call.options.name)}/{key}"


def _key_of(call: TaskCall, by: Any) -> str:
    key = by(*call.fn.args, **call.fn.keywords)
    if isinstance(key, str):
        return key
    raise InvalidDefinition(
        f'Task "{call.options.name}": cache.by must return a text, but returned {type(key).__name__}.'
    )
