"""The options of a task as its author gives them, for type checkers. Nothing loads this module when a flow runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from ..cache.task_cache import Cache
from .durations import Duration
from .options import ErrorClasses, RetryDelay
from .runners import Runner


class GivenTaskOptions(TypedDict, total=False):
    """The fields of `TaskOptions`, each of which may be left out."""

    name: str
    retries: int
    retry_delay: RetryDelay | None
    retry_jitter: float | None
    retry_on: ErrorClasses | None
    retry_if: Callable[[BaseException, int], bool] | None
    timeout: Duration | None
    timeout_grace: Duration
    if_ignored: Literal["leave", "kill"]
    checkpoint: bool | None
    version: str | None
    durable: bool
    key: str | None
    concurrency: int
    map_key: Callable[[Any], str] | None
    limits: Sequence[str | tuple[str, int]]
    tags: Sequence[str]
    pool: str | None
    compute: Mapping[str, Any] | None
    on_parent_end: Literal["cancel", "abandon"]
    cache: bool | Cache
    runs_in: Literal["thread", "process"] | Runner
    on_retry: Callable[..., Any] | None
    on_failure: Callable[..., Any] | None
