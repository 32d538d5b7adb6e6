"""Runs of other deployments that a flow starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeVar, overload

from ..problem import ChildFailed, InvalidAnswer, SuspendInTask
from ..task.identity import CallKey
from ..task.input_hash import hash_input
from .interrupt import in_engine_code
from .scope import Scope, scope_for

Result = TypeVar("Result")
OnParentEnd = Literal["cancel", "abandon"]


def start_run(
    deployment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    on_parent_end: OnParentEnd = "abandon",
) -> str:
    """Starts a run of another deployment and goes on. It can be called in a task. Later attempts find the same run.

    Args:
        deployment: its name. The signed spec must list it in `may_start`.
        parameters: plain data, dataclasses, dates.
        key: identifies the call. Default: a hash of the parameters.
        on_parent_end: `cancel` cancels that run if this one ends first; `abandon` lets it continue.

    Returns: the id of the run. `suspend.run(id)` waits for its end.

    Raises:
        CallRefused: with the reason.
    """
    started = in_engine_code(_start, scope_for("start_run()"), deployment, parameters or {}, key, on_parent_end)
    return str(started["runId"])


@overload
def run_child(
    deployment: str,
    parameters: Mapping[str, Any] | None = ...,
    *,
    returns: type[Result],
    key: str | None = ...,
    on_parent_end: OnParentEnd = ...,
) -> Result: ...


@overload
def run_child(
    deployment: str,
    parameters: Mapping[str, Any] | None = ...,
    *,
    returns: Any = ...,
    key: str | None = ...,
    on_parent_end: OnParentEnd = ...,
) -> Any: ...


def run_child(
    deployment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    returns: Any = Any,
    key: str | None = None,
    on_parent_end: OnParentEnd = "cancel",
) -> Any:
    """Starts a run of another deployment and waits for its end. Meanwhile this run is suspended if nothing else of it is
    running. Later attempts find the same run. In an async flow, await it.

    Args:
        deployment, parameters, key, on_parent_end: as for `start_run`.
        returns: the type of its result, such as a dataclass. Default: what was stored.

    Returns: what the other flow returned.

    Raises:
        ChildFailed: if it did not complete.
        InvalidAnswer: if the result does not match `returns`.
        SuspendInTask: in a task.
    """
    from ..suspend.suspend import run as wait_for_run

    scope = scope_for("run_child()")
    if scope.path != "":
        raise SuspendInTask("run_child()", scope.path)
    started = in_engine_code(_start, scope, deployment, parameters or {}, key, on_parent_end)
    waiting = wait_for_run(started["runId"])
    if not scope.is_async:
        return in_engine_code(_result_of, scope, deployment, waiting, returns)

    async def awaited() -> Any:
        return _result_of(scope, deployment, await waiting, returns)

    return awaited()


class RunState(NamedTuple):
    """The state of a run."""

    run_id: str
    """The run's id."""
    state: str
    """Such as `running`, `suspended`, `completed`, `failed`, `crashed` or `cancelled`."""
    cause: str | None
    """Why it ended as it did. None: it has not ended, or it has completed."""


def get_run(run_id: str) -> RunState:
    """The state of a run that this workspace has, at this moment. It can be called in a task. `suspend.run` waits for its end.

    Raises:
        CallRefused: if there is no such run.
    """
    return in_engine_code(_state_of, scope_for("get_run()"), run_id)


def _state_of(scope: Scope, run_id: str) -> RunState:
    scope.cancel.raise_if_asked()
    name = f"get-run {run_id}"
    path = name if scope.path == "" else f"{scope.path}/{name}"
    told = scope.run.host.call(path, {"kind": "get-run", "runId": run_id})
    return RunState(told["runId"], told["state"], told.get("cause"))


def _start(
    scope: Scope, deployment: str, parameters: Mapping[str, Any], key: str | None, on_parent_end: str
) -> Mapping[str, Any]:
    scope.cancel.raise_if_asked()
    wire = _as_json(parameters)
    what = f'start_run "{deployment}"'
    hashes = scope.run.host.store.hashes
    call_key = CallKey("hash", hash_input(what, [wire], hashes)) if key is None else CallKey("given", key)
    path, settled = scope.calls.name(f"start-run {deployment}", call_key, "run")
    try:
        call = {"kind": "start-run", "deployment": deployment, "parameters": wire, "onParentEnd": on_parent_end}
        return scope.run.host.call(path, call)
    finally:
        settled()


def _as_json(parameters: Mapping[str, Any]) -> Any:
    from ..store.plain_json import plain_json

    return plain_json(dict(parameters), "parameters")


def _result_of(scope: Scope, deployment: str, ended: Mapping[str, Any], returns: Any) -> Any:
    if ended["state"] != "completed":
        what = f'"{deployment}"'
        raise ChildFailed(what=what, run_id=ended["runId"], state=ended["state"], cause=ended.get("cause"))
    ref = ended.get("result")
    value = None if ref is None else scope.run.host.store.load(ref)
    if returns is Any:
        return value
    from ..input.convert import convert

    faults: list[Any] = []
    made = convert(returns, value, "result", faults)
    if faults:
        raise InvalidAnswer(f'result of "{deployment}"', faults)
    return made
