"""The waits of a flow in a test. The timed waits of earlier attempts have ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..clock import Clock, datetime_of
from .children import TestChildren
from .jobs import TestJobs
from .life import Life


class Expired:
    """As an answer: the deadline passes."""


EXPIRED = Expired()
_OPEN: Mapping[str, Any] = {
    "waitId": "",
    "state": "open",
    "inMs": None,
    "answer": None,
    "answeredBy": None,
    "run": None,
}


def name_of(wait: Mapping[str, Any]) -> str:
    """The name of a wait in a test: a question's title, an event's name (and key), a run's id."""
    kind = wait["kind"]
    if kind == "event":
        return wait["name"] if wait.get("key") is None else f"{wait['name']} {wait['key']}"
    return str({"input": wait.get("title"), "run": wait.get("runId")}.get(kind, kind))


class TestWaits:
    """Answers waits from a dict. Without an answer, the run is suspended."""

    __test__ = False

    def __init__(
        self,
        answers: Mapping[str, Any],
        *,
        clock: Clock,
        attempt: int,
        asked: dict[str, tuple[float, int]],
        life: Life,
        children: TestChildren,
        jobs: TestJobs,
    ) -> None:
        self._answers = answers
        self._clock = clock
        self._attempt = attempt
        self._asked = asked
        self._life = life
        self._children = children
        self._jobs = jobs

    suspends = True

    def listen(self, listener: Callable[[list[str]], None]) -> None:
        """A test gives all answers at the start of an attempt."""

    def ask(self, path: str, wait: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state of a wait."""
        return self._life.use(lambda: self._state(path, wait))

    def _state(self, path: str, wait: Mapping[str, Any]) -> Mapping[str, Any]:
        if wait["kind"] in ("for", "until"):
            return self._timed(path, wait)
        if wait["kind"] == "job":
            return self._jobs.state(path, wait, self._answers, EXPIRED)
        name = name_of(wait)
        if name not in self._answers:
            child = self._children.ended(name) if wait["kind"] == "run" else None
            return _OPEN if child is None else {**_OPEN, "state": "satisfied", "run": child}
        found = self._answers[name]
        if found is EXPIRED:
            return {**_OPEN, "state": "expired"}
        if wait["kind"] != "run":
            return {**_OPEN, "state": "satisfied", "answer": found, "answeredBy": "the test"}
        ended = {"runId": wait["runId"], "state": "completed", "cause": None, "result": None, **found}
        return {**_OPEN, "state": "satisfied", "run": ended}

    def _timed(self, path: str, wait: Mapping[str, Any]) -> Mapping[str, Any]:
        now_ms = self._clock.now_ms()
        end_ms = now_ms + wait["ms"] if wait["kind"] == "for" else datetime_of(wait["at"]).timestamp() * 1000
        end_ms, attempt = self._asked.setdefault(path, (end_ms, self._attempt))
        if end_ms <= now_ms or attempt < self._attempt:
            return {**_OPEN, "state": "satisfied"}
        return {**_OPEN, "inMs": end_ms - now_ms}
