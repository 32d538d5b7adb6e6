"""Kinds of external jobs: Spark, SageMaker, a batch cluster, or anything else that can be polled."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar, Union

from ..problem import InvalidDefinition, NonRetryable
from ..task.durations import Duration, ms_of

Input = TypeVar("Input")
Handle = TypeVar("Handle")
Result = TypeVar("Result")

ASK_MS = 60_000
"""Time limit of one request to a backend."""
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_POLL_LEAST_MS = 1000
_NO_REASON = "Its backend reported a failure without a reason."


class JobStatus(NamedTuple):
    """The state of a job at its backend."""

    state: Literal["running", "completed", "failed"]
    result: Any = None
    """The result of a completed job."""
    error: str | None = None
    """Why a failed job has failed."""
    says: str = "running"
    """The backend's own word for a running job, which people see while they wait."""

    @property
    def reason(self) -> str:
        """Why it has failed."""
        return self.error or _NO_REASON


_known: dict[str, Job[Any, Any, Any]] = {}


def job_named(name: str) -> Job[Any, Any, Any] | None:
    """The declared job of a name, or None."""
    return _known.get(name)


def declared_jobs() -> list[Job[Any, Any, Any]]:
    """All declared jobs."""
    return list(_known.values())


@dataclass(frozen=True)
class Job(Generic[Input, Handle, Result]):
    """A kind of external job. Declare it at the top of a module that the flow imports. `suspend.job` submits one and waits
    for its end. Its functions are plain or `async def`.

    Raises:
        InvalidDefinition: names the invalid option.

    Example:
        spark = Job(
            "spark",
            submit=lambda key, day: livy.post(name=key, args=[day]).id,
            find=lambda key: livy.named(key),
            poll=lambda id: status_of(livy.get(id)),
            cancel=lambda id: livy.delete(id),
        )
    """

    name: str
    """Lower-case letters, digits, `-` and `_`, at most 63; unique in the project."""
    submit: Callable[..., Union[Handle, Awaitable[Handle]]]
    """Submits the job, called with `key` and the input, and returns its handle. Give the backend the key as its idempotency
    key or as the job's name: it is the same for the same call of a run, and for no other. With `callback`, it is also called
    with `callback_url`."""
    find: Callable[[str], Any] | None = None
    """Looks for a job by its key, if a process died before it stored the handle. None only if the backend has none: then the
    job is submitted."""
    poll: Callable[[Handle], Union[JobStatus, Awaitable[JobStatus]]] | None = None
    """Asks the backend for the job's state. It runs on a worker, in one process for all jobs of the deployment, with the code
    of the run's version. A NonRetryable that it raises is the job's failure."""
    cancel: Callable[[Handle], Any] | None = None
    """Cancels the job. Called when its run is cancelled, fails or ends without it, and again if it raises."""
    poll_every: Duration = 30
    """Interval of polls, at least a second."""
    callback: bool = False
    """Whether `submit` gets a callback URL, to which the backend reports the job's end."""
    idempotent: bool = False
    """Whether submitting twice with one key is one job. Then no `find` is needed."""
    version: str | None = None
    """Results of an earlier run are valid while it stays the same. Default: the version of the code of `submit`."""
    returns: Any = Any
    """The type of the result, such as a dataclass. Default: what was stored."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            raise InvalidDefinition(
                f'job name "{self.name}": use lower-case letters, digits, - and _, at most 63, starting with a letter or '
                "digit."
            )
        for option in ("submit", "find", "poll", "cancel"):
            value = getattr(self, option)
            if not callable(value) and (option == "submit" or value is not None):
                raise InvalidDefinition(f'job "{self.name}": {option} must be a function.')
        if self.poll is None and not self.callback:
            raise InvalidDefinition(
                f'job "{self.name}": give it poll, or callback=True, so that its end can be detected.'
            )
        if ms_of(f'job "{self.name}": poll_every', self.poll_every) < _POLL_LEAST_MS:
            raise InvalidDefinition(f'job "{self.name}": poll_every must be a second or more.')
        other = _known.get(self.name)
        if other is not None and other.submit.__module__ != self.submit.__module__:
            raise InvalidDefinition(
                f'job "{self.name}" is also declared in {other.submit.__module__}: give each job its own name.'
            )
        _known[self.name] = self

    @property
    def poll_every_ms(self) -> int:
        """The interval of polls."""
        return int(ms_of("poll_every", self.poll_every))


def status_of(job: Job[Any, Any, Any], ask: Callable[[], Any]) -> JobStatus:
    """What a poll says. A NonRetryable is the job's failure; any other error says nothing about the job."""
    try:
        answer = ask()
    except NonRetryable as error:
        return JobStatus("failed", error=str(error))
    if isinstance(answer, JobStatus) and answer.state in ("running", "completed", "failed"):
        return answer
    raise TypeError(
        f'poll of job "{job.name}" must return JobStatus("running"), JobStatus("completed", result) or '
        f'JobStatus("failed", error=...), not {answer!r}.'
    )
