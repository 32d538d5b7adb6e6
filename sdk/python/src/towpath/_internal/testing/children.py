"""The runs of other deployments in a test: each ends as the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid5

from ..problem import OutsideOfRun
from ..store.codec import Ref

_SPACE = UUID("5f0c3a5e-3b1e-4b43-9a55-0a5f4bb6a1a7")


class TestChildren:
    """Starts no runs. A child has ended as soon as it was started. Attempts of a run share it."""

    __test__ = False

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._ended: dict[str, Mapping[str, Any]] = {}

    def start(self, path: str, call: Mapping[str, Any], keep: Callable[[Any], Ref]) -> Mapping[str, Any] | None:
        """The run of a call. None: the test has no result for its deployment."""
        if call["kind"] == "get-run":
            return self._ended.get(call["runId"])
        if call["kind"] != "start-run" or call["deployment"] not in self._given:
            return None
        run_id = str(uuid5(_SPACE, f"{id(self)} {path}"))
        if run_id not in self._ended:
            self._ended[run_id] = {"runId": run_id, **self._end(call, keep)}
        return self._ended[run_id]

    def ended(self, run_id: str) -> Mapping[str, Any] | None:
        """How a run ended. None: this test did not start it here."""
        return self._ended.get(run_id)

    def _end(self, call: Mapping[str, Any], keep: Callable[[Any], Ref]) -> Mapping[str, Any]:
        value = self._given[call["deployment"]]
        if callable(value):
            try:
                value = value(**call["parameters"])
            except Exception as error:
                value = error
        if isinstance(value, Exception):
            return {"state": "failed", "cause": "error", "result": None}
        return {"state": "completed", "cause": None, "result": None if value is None else keep(value)}


def no_child(call: Mapping[str, Any]) -> OutsideOfRun:
    """The error for a call that a test does not answer."""
    if call["kind"] == "start-run":
        name = call["deployment"]
        return OutsideOfRun(f'A run of "{name}"', next=f'Give run_flow its result: children={{"{name}": ...}}.')
    return OutsideOfRun("A call to the control plane", next="Give run_flow the option call.")
