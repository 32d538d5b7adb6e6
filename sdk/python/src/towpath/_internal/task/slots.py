"""Slots of limits: those that a task names, and those of its tags."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..problem import CallRefused, OutsideOfRun, SlotsHeld

if TYPE_CHECKING:
    from .run_task import TaskCall

_PATH = "slots"
_WAIT_MS = 2_000
"""How long one request waits at the control plane. A request to stop is heard after it."""
_UNLIMITED_MS = 10_000
"""How long tags count as unlimited before the control plane is asked again."""


@dataclass(frozen=True)
class Holder:
    """A try that holds slots."""

    key: str
    name: str
    tags: frozenset[str]
    outer: Holder | None

    def covers(self, tag: str) -> bool:
        """Whether a slot of this tag counts for a call inside it."""
        return tag in self.tags or (self.outer is not None and self.outer.covers(tag))


class UnlimitedTags:
    """Tags that had no limit when the control plane was asked last. Safe for several threads."""

    def __init__(self) -> None:
        self._asked_ms: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, tags: frozenset[str], now_ms: float) -> None:
        """These tags have no limit now."""
        with self._lock:
            self._asked_ms.update((tag, now_ms) for tag in tags)

    def knows(self, tags: frozenset[str], now_ms: float) -> bool:
        """Whether none of these tags had a limit in the last ten seconds."""
        with self._lock:
            return all(now_ms - self._asked_ms.get(tag, -_UNLIMITED_MS) < _UNLIMITED_MS for tag in tags)


def no_slots() -> None:
    """Returns nothing."""


def take_slots(call: TaskCall, tries: int) -> tuple[Holder | None, Callable[[], None]]:
    """Waits for all slots of a try, all at once. A task without limits and tags does not wait and sends nothing.

    Returns: who holds slots from now on, and a function that returns those of this try.

    Raises:
        SlotsHeld: inside a task that holds slots, unless these are the slots of its tags.
        CallRefused: for a limit that does not exist.
    """
    outer = call.scope.holder
    limits = [_use(one) for one in call.options.limits]
    tags = frozenset(tag for tag in call.options.tags if outer is None or not outer.covers(tag))
    if outer is not None and limits:
        raise SlotsHeld(call.options.name, outer.name)
    run = call.scope.run
    clock = run.host.clock
    if not limits and (run.cancel.reason is not None or run.unlimited.knows(tags, clock.monotonic_ms())):
        return outer, no_slots
    key = call.path if tries == 1 else f"{call.path} try {tries}"
    request: dict[str, Any] = {"key": key, "limits": limits}
    if tags:
        request["tags"] = sorted(tags)
    if outer is not None:
        request["inside"] = outer.key
    if not _until_granted(call, request):
        if outer is None and not limits:
            run.unlimited.note(tags, clock.monotonic_ms())
        return outer, no_slots
    return Holder(key, call.options.name, frozenset(call.options.tags), outer), lambda: _give_back(call, key)


def _use(use: str | tuple[str, int]) -> dict[str, Any]:
    name, slots = (use, 1) if isinstance(use, str) else use
    return {"name": name, "slots": slots}


def _until_granted(call: TaskCall, request: Mapping[str, Any]) -> bool:
    """Returns whether the try holds slots now. Otherwise it needs none."""
    key = request["key"]
    asked = {"kind": "take-slots", "requests": [request], "waitMs": _WAIT_MS}
    try:
        while True:
            call.scope.cancel.raise_if_asked()
            answer = call.scope.run.host.call(_PATH, asked)
            if key in (answer.get("granted") or ()):
                return key not in (answer.get("withoutSlots") or ())
    except OutsideOfRun:
        # Without a worker no tag has a limit. Named limits count as held, so that a nested task fails where its author sees it.
        return bool(request["limits"])
    except CallRefused as refusal:
        if refusal.problem == "slots-held" and call.scope.holder is not None:
            raise SlotsHeld(call.options.name, call.scope.holder.name) from refusal
        if refusal.problem == "bad-request" and not request["limits"]:
            call.warn(
                "begins without a slot, because this worker's release knows no limits of tags. Update the worker."
            )
            return False
        raise
    except BaseException:
        _give_back(call, key)
        raise


def _give_back(call: TaskCall, key: str) -> None:
    """Returns slots, or leaves the wait list. Slots that cannot be returned return with the attempt."""
    run = call.scope.run

    def work() -> None:
        try:
            run.host.call(_PATH, {"kind": "give-back", "keys": [key]})
        except BaseException:
            # The run ends, or the control plane is away: the slots return with the attempt.
            return

    threading.Thread(target=work, name="towpath-slots", daemon=True).start()
