"""Options of tasks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Union

from ..problem import InvalidDefinition
from .durations import Duration, ms_of

if TYPE_CHECKING:
    from ..cache.task_cache import Cache
    from .runners import Runner

_NAME_CHARS_MAX = 200
_LIMIT_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_RETRIES_MAX = 1000
_TIMER_MS_MAX = 2**31 - 1


RetryDelay = Union[Duration, Sequence[Duration], Callable[[int, BaseException], float]]
"""The delay before a try: one, a list whose last entry repeats, or a function of tries and error that returns seconds."""
ErrorClasses = Union[type[BaseException], tuple[type[BaseException], ...]]


@dataclass(frozen=True)
class TaskOptions:
    """Options of a task. `with_options` overrides them for a call."""

    name: str
    """The task's name in runs: 1 to 200 characters. Default: the function's name."""
    retries: int = 0
    """Tries after the first one."""
    retry_delay: RetryDelay | None = None
    """The delay before a retry: a duration, a list whose last entry repeats, or a function of the number of tries and the error
    that returns seconds. Default: half a second, doubled by each retry up to 30 s."""
    retry_jitter: float | None = None
    """Spreads each delay by up to this fraction of it. Default: 0.2; 0 where a delay is given."""
    retry_on: ErrorClasses | None = None
    """Classes of errors to retry. Default: every Exception but NonRetryable."""
    retry_if: Callable[[BaseException, int], bool] | None = None
    """A function of the error and the number of tries. It decides about errors that `retry_on` allows."""
    timeout: Duration | None = None
    """Time limit of one try."""
    timeout_grace: Duration = 2
    """How long a try may take to end after its time limit. The next try waits for this long."""
    if_ignored: Literal["leave", "kill"] = "leave"
    """What happens to a try that has not ended after `timeout_grace`. `leave` fails the try; a thread or a coroutine may
    continue beside the next try, and the main thread is interrupted again. `kill` fails the run with the cause `timeout` and
    ends its process, so that a next attempt reuses all completed tasks. A process of a task is ended either way."""
    checkpoint: bool | None = None
    """Stores the result, so that a later attempt reuses it. True: a result that cannot be stored is an error."""
    version: str | None = None
    """The version of the task's code. Default: a hash of the code that it reaches."""
    durable: bool = False
    """Returns only when the control plane has acknowledged the completion."""
    key: str | None = None
    """Identity of the call in its run. Default: a hash of the arguments."""
    concurrency: int = 10
    """The most calls of one `map` at a time."""
    map_key: Callable[[Any], str] | None = None
    """Names an item's call within a `map`. Default: its index."""
    limits: Sequence[str | tuple[str, int]] = ()
    """Named limits: names, or names with slots. Each try takes all its slots at once before it begins."""
    tags: Sequence[str] = ()
    """Each try takes one slot of each of its tags that has a limit."""
    pool: str | None = None
    """The pool whose workers run the task as a run of its own. Arguments and result travel through the store, which those
    workers must share. Declare the task at the top of its module. Without a worker it runs in this process."""
    compute: Mapping[str, Any] | None = None
    """With `pool`: what the task needs from a worker: {"cpu": 2, "memory": "4 GiB", "gpu": 1}. It is signed with the code."""
    on_parent_end: Literal["cancel", "abandon"] = "cancel"
    """With `pool`: what happens to the task's run if this run ends first: `cancel` or `abandon`."""
    cache: bool | Cache = False
    """Reuses the result of an equal call of any run. True: equal arguments and the same code."""
    runs_in: Literal["thread", "process"] | Runner = "thread"
    """Where the function runs: in the flow's process, in a process of its own that a time limit or a cancellation kills, or
    on a cluster (`towpath.dask`, `towpath.ray`).
    With `process`, the function is at the top of its module, arguments and result are data that pickle can copy, and the
    function cannot call tasks. Logs, artifacts, `keep`, `kept`, `save`, `load` and secrets work."""
    on_retry: Callable[..., Any] | None = None
    """Called after a try that has failed and is retried, with the error and the number of tries."""
    on_failure: Callable[..., Any] | None = None
    """Called after the last try has failed, with the error and the number of tries."""

    def __post_init__(self) -> None:
        _check_name(self.name)
        self._check("retries", _is_whole(self.retries, 0, _RETRIES_MAX), f"a whole number from 0 to {_RETRIES_MAX}")
        self._check("concurrency", _is_whole(self.concurrency, 1, 10_000), "a whole number from 1 to 10,000")
        jitter = 0 if self.retry_jitter is None else self.retry_jitter
        self._check("retry_jitter", isinstance(jitter, (int, float)) and 0 <= jitter <= 1, "from 0 to 1")
        is_runner = self.runs_in in ("thread", "process") or callable(getattr(self.runs_in, "open", None))
        self._check("runs_in", is_runner, '"thread" or "process", or a cluster: dask(...) or ray(...)')
        self._check("key", self.key is None or (isinstance(self.key, str) and self.key != ""), "text that is not empty")
        version = "1" if self.version is None else self.version
        self._check("version", isinstance(version, str) and 1 <= len(version) <= 64, "text of 1 to 64 characters")
        self._check("retry_on", _are_classes(self.retry_on), "a class of errors, or a tuple of them")
        for hook in ("retry_if", "map_key", "on_retry", "on_failure"):
            self._check(hook, getattr(self, hook) is None or callable(getattr(self, hook)), "a function")
        if self.cache is not False and self.cache is not True:
            from ..cache.task_cache import Cache

            self._check(
                "cache", isinstance(self.cache, Cache), "True, False or Cache(by=..., expires=..., refresh=...)"
            )
        self._check("limits", _are_limits(self.limits), "a list of at most 8 names of limits, or of (name, slots)")
        self._check("pool", self.pool is None or _is_limit(self.pool), "the name of a pool")
        self._check("compute", self.compute is None or isinstance(self.compute, Mapping), 'a dict such as {"cpu": 2}')
        self._check("on_parent_end", self.on_parent_end in ("cancel", "abandon"), '"cancel" or "abandon"')
        self._check("tags", _are_tags(self.tags), "a list of at most 32 texts of 1 to 64 characters")
        if self.timeout is not None:
            limit = ms_of(f'task "{self.name}": timeout', self.timeout)
            self._check("timeout", 1 <= limit <= _TIMER_MS_MAX, "from 1 ms to 24 days")
        ms_of(f'task "{self.name}": timeout_grace', self.timeout_grace)
        self._check("if_ignored", self.if_ignored in ("leave", "kill"), '"leave" or "kill"')
        self._check_delays()

    def _check_delays(self) -> None:
        delay = self.retry_delay
        if delay is None or callable(delay):
            return
        delays: list[Any] = list(delay) if isinstance(delay, (list, tuple)) else [delay]
        self._check("retry_delay", len(delays) > 0, "a duration, a list of them, or a function")
        for one in delays:
            ms_of(f'task "{self.name}": retry_delay', one)

    def _check(self, field: str, ok: bool, wanted: str) -> None:
        if not ok:
            raise InvalidDefinition(f'task "{self.name}": {field} must be {wanted}.')

    def changed(self, **overrides: Any) -> TaskOptions:
        """These options with some replaced. @raises InvalidDefinition for an unknown name or a wrong value."""
        unknown = [name for name in overrides if name not in self.__dataclass_fields__]
        if unknown:
            known = ", ".join(sorted(self.__dataclass_fields__))
            raise InvalidDefinition(f'task "{self.name}" has no option {unknown[0]}. The options are: {known}.')
        return replace(self, **overrides)

    @property
    def timeout_ms(self) -> float | None:
        return None if self.timeout is None else ms_of("timeout", self.timeout)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= _NAME_CHARS_MAX:
        raise InvalidDefinition(f"A task needs a name of 1 to {_NAME_CHARS_MAX} characters.")


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _are_limits(value: object) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) > 8:
        return False
    return all(_is_limit(one) if isinstance(one, str) else _is_limit_with_slots(one) for one in value)


def _is_limit(name: object) -> bool:
    return isinstance(name, str) and _LIMIT_NAME.match(name) is not None


def _is_limit_with_slots(use: object) -> bool:
    return isinstance(use, tuple) and len(use) == 2 and _is_limit(use[0]) and _is_whole(use[1], 1, 2**31 - 1)


def _are_tags(value: object) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) > 32:
        return False
    return all(isinstance(one, str) and 1 <= len(one) <= 64 for one in value)


def _are_classes(value: object) -> bool:
    classes = value if isinstance(value, tuple) else (value,)
    return value is None or (
        len(classes) > 0 and all(isinstance(one, type) and issubclass(one, BaseException) for one in classes)
    )
