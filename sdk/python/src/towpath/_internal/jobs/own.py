"""The external jobs of a run without a control plane: on a terminal, and in a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from ..clock import Clock, instant
from ..engine.host import Facts
from ..problem import OutsideOfRun
from ..store.codec import Ref, encode
from ..store.places import Place
from .calls import blocking
from .job import Job, job_named, status_of


class OwnJob:
    """A job that this process knows."""

    def __init__(self, path: str, facts: Facts, created_at: str) -> None:
        self.id = str(uuid5(UUID(facts.run_id), path))
        self.intended_by = facts.attempt_id
        self.created_at = created_at
        self.handle: Ref | None = None
        self.outcome: Mapping[str, Any] | None = None

    def poll(self, name: str, facts: Facts, store: Any) -> None:
        """Asks its backend once, if its handle is known."""
        handle = self.handle
        if handle is None or self.outcome is not None:
            return
        job = _declared(name)
        poll = job.poll
        assert poll is not None
        status = status_of(job, lambda: blocking(lambda: poll(store.load(handle))))
        if status.state == "failed":
            self.outcome = {"outcome": "failed", "error": {"name": "JobFailed", "message": status.reason}}
        elif status.state == "completed":
            place = Place(facts.run_id, facts.attempt, self.id, "result")
            ref = None if status.result is None else store.save(place, encode(status.result, "result"))
            self.outcome = {"outcome": "completed", "result": ref}

    def told(self, wait: Mapping[str, Any], in_ms: float | None) -> dict[str, Any]:
        """The state of a wait for it.

        Args:
            in_ms: when to ask again, if nothing else reports its end.
        """
        job = {
            "handle": self.handle,
            "intendedBy": self.intended_by,
            "createdAt": self.created_at,
            "earlier": False,
        }
        state = {"waitId": self.id, "run": None, "job": job}
        if self.outcome is None:
            return {**state, "state": "open", "inMs": in_ms, "answer": None, "answeredBy": None}
        return {**state, "state": "satisfied", "inMs": None, "answer": self.outcome, "answeredBy": wait["job"]}


class OwnJobs:
    """The jobs of a run by their paths. Its attempts share it."""

    def __init__(self) -> None:
        self._jobs: dict[str, OwnJob] = {}

    def at(self, path: str, facts: Facts, clock: Clock) -> OwnJob:
        """The job of a path. The first call makes it."""
        return self._jobs.setdefault(path, OwnJob(path, facts, instant(clock)))

    def note_handle(self, path: str, call: Mapping[str, Any], facts: Facts) -> Mapping[str, Any] | None:
        """Stores the handle of a job. None: the call is another one."""
        if call["kind"] != "job-handle":
            return None
        found = self._jobs[path]
        found.handle = found.handle or call["handle"]
        return {"runId": facts.run_id, "state": "running", "cause": None, "result": None}


def _declared(name: str) -> Job[Any, Any, Any]:
    job = job_named(name)
    if job is not None and job.poll is not None:
        return job
    raise OutsideOfRun(f'Job "{name}", which its backend ends by a callback,', "Run the flow on a worker.")
