"""What a flow can read and ask about its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..problem import ChildFailed
from ..task.identity import CallKey
from .host import Facts
from .interrupt import in_engine_code
from .scope import scope_for


def run_facts() -> Facts:
    """The ids, attempt, deployment, version and times of the current run."""
    return scope_for("run_facts()").run.host.facts


def secret(name: str) -> str:
    """The value of a secret. The worker resolves it, and removes it from everything that leaves.

    Raises:
        OutsideOfRun: if nobody provides it. The message says where to declare it.
    """
    return scope_for("secret()").run.host.secret(name)


def is_cancelled() -> bool:
    """Whether the current code was asked to stop. A thread asks it between two steps."""
    return scope_for("is_cancelled()").cancel.reason is not None


def start_run(
    deployment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    on_parent_end: str = "abandon",
) -> str:
    """Starts a run of another deployment, once in all attempts.

    Args:
        deployment: its name. The signed spec must list it in `mayStart`.
        key: distinguishes calls in concurrent branches.
        on_parent_end: `cancel` cancels that run if this one ends first; `abandon` lets it continue.

    Returns: the id of the run.

    Raises:
        CallRefused: with the reason.
    """
    told = in_engine_code(_start, deployment, parameters or {}, key, on_parent_end)
    return str(told["runId"])


def run_child(deployment: str, parameters: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
    """Starts a run of another deployment and waits for its end, without a process. In an async flow, await it.

    Returns: its result.

    Raises:
        ChildFailed: if it did not complete.
    """
    from ..suspend.suspend import run as wait_for_run

    scope = scope_for("run_child()")
    run_id = start_run(deployment, parameters, key=key, on_parent_end="cancel")
    waiting = wait_for_run(run_id)
    if not scope.is_async:
        return _result_of(deployment, run_id, waiting, scope.run.host.store)

    async def awaited() -> Any:
        return _result_of(deployment, run_id, await waiting, scope.run.host.store)

    return awaited()


def _start(deployment: str, parameters: Mapping[str, Any], key: str | None, on_parent_end: str) -> Mapping[str, Any]:
    scope = scope_for("start_run()")
    name = f"start-run {deployment}"
    path, settled = scope.calls.name(name, CallKey("none") if key is None else CallKey("given", key), "run")
    try:
        call = {
            "kind": "start-run",
            "deployment": deployment,
            "parameters": dict(parameters),
            "onParentEnd": on_parent_end,
        }
        return scope.run.host.call(path, call)
    finally:
        settled()


def _result_of(deployment: str, run_id: str, ended: Mapping[str, Any], store: Any) -> Any:
    if ended["state"] != "completed":
        raise ChildFailed(what=deployment, run_id=run_id, state=ended["state"], cause=ended.get("cause"))
    ref = ended.get("result")
    return None if ref is None else store.load(ref)
