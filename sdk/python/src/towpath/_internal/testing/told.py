"""The records of an attempt, as a test and a later attempt read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..engine.failures import is_failed_by

_STATES = {
    "queue": "pending",
    "begin": "running",
    "retry": "retrying",
    "complete": "completed",
    "reuse": "completed",
    "fail": "failed",
    "cancel": "cancelled",
}


class TaskRun(NamedTuple):
    """One task run at the end of an attempt."""

    path: str
    name: str
    state: str
    tries: int


def tasks_of(records: Sequence[Mapping[str, Any]]) -> list[TaskRun]:
    """The task runs in the order of their calls."""
    tasks: dict[str, TaskRun] = {}
    for record in records:
        if record["type"] == "task":
            path = record["path"]
            tasks[path] = TaskRun(path, record["name"], _STATES[record["move"]], record["tries"])
    return list(tasks.values())


def checkpoints_of(records: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The checkpoints of an attempt's records, as a control plane would return them."""
    end: Mapping[str, Any] = next((one for one in reversed(records) if one["type"] == "outcome"), {})
    has_failed = end.get("outcome") in ("failed", "cancelled")
    for record in records:
        if record["type"] == "kept":
            yield {**_item(record), "codeVersion": None, "inputHash": None}
        elif record["type"] == "task":
            yield from _end_of(record, has_failed and is_failed_by(end.get("failedBy"), record["path"]))


def _end_of(record: Mapping[str, Any], is_again: bool) -> Iterator[Mapping[str, Any]]:
    made = {**_item(record), "codeVersion": record.get("codeVersion"), "inputHash": record.get("inputHash")}
    if record["move"] in ("complete", "reuse"):
        yield made
    elif record["move"] == "fail" and record.get("codeVersion") is not None:
        yield made if is_again else {**made, "error": record["error"]}


def _item(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "path": record["path"],
        "kind": record["type"],
        "own": True,
        "at": record["at"],
        "result": record.get("result"),
    }
