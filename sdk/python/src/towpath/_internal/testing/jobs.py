"""The external jobs of a run in a test: answered by the test, or polled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..clock import SYSTEM_CLOCK, Clock
from ..engine.cancel import Cancel
from ..engine.host import Facts
from ..jobs.own import OwnJob, OwnJobs
from ..problem import TowpathError
from ..store.codec import encode
from ..store.places import Place

_POLLS_MAX = 10_000
"""The most polls of a job before it counts as endless."""


class JobNeverEnds(TowpathError):
    """A job's poll never reports an end."""

    code = "job-never-ends"

    def __init__(self, job: str) -> None:
        super().__init__(
            f'Job "{job}" was still running after {_POLLS_MAX} polls.',
            next="Let its poll return an end state in the test, or give an answer with the option answers.",
        )


class TestJobs:
    """A job is first polled in the attempt after its submission, until it has ended."""

    __test__ = False

    def __init__(self, jobs: OwnJobs, facts: Facts, store: Any, clock: Clock) -> None:
        self._jobs = jobs
        self._facts = facts
        self._store = store
        self._clock = clock

    def note_handle(self, path: str, call: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Stores the handle of a job. None: the call is another one."""
        return self._jobs.note_handle(path, call, self._facts)

    def state(self, path: str, wait: Mapping[str, Any], answers: Mapping[str, Any], expired: object) -> dict[str, Any]:
        """The state of a wait for a job."""
        one = self._jobs.at(path, self._facts, self._clock)
        name = wait["job"]
        if (one.handle is not None or one.outcome is not None) and name in answers:
            found = answers[name]
            if found is expired:
                return {**one.told(wait, None), "state": "expired"}
            if one.outcome is None:
                one.outcome = self._outcome(one, wait, found)
        if one.intended_by != self._facts.attempt_id and wait["pollEveryMs"] is not None:
            for _ in range(_POLLS_MAX):
                one.poll(name, self._facts, self._store)
                if one.handle is None or one.outcome is not None:
                    break
                self._pause(wait["pollEveryMs"])
            else:
                raise JobNeverEnds(name)
        return one.told(wait, None)

    def _outcome(self, one: OwnJob, wait: Mapping[str, Any], answer: Any) -> Mapping[str, Any]:
        if isinstance(answer, Exception):
            return {"outcome": "failed", "error": {"name": "JobFailed", "message": str(answer)}}
        if wait["pollEveryMs"] is None or answer is None:
            return {"outcome": "completed", "result": None, "value": answer}
        place = Place(self._facts.run_id, self._facts.attempt, one.id, "result")
        return {"outcome": "completed", "result": self._store.save(place, encode(answer, "result"))}

    def _pause(self, ms: float) -> None:
        if self._clock is SYSTEM_CLOCK:
            self._clock.pause(ms, Cancel())
