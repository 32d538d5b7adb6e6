"""What a flow can read and ask about its run."""

from __future__ import annotations

from dataclasses import replace

from .host import Facts
from .scope import scope_for


def run_facts() -> Facts:
    """The ids, attempt, deployment, version and times of the current run, and the path of the current task run."""
    scope = scope_for("run_facts()")
    return replace(scope.run.host.facts, task_path=scope.path or None)


def secret(name: str) -> str:
    """The value of a secret. The worker resolves it, and removes it from everything that leaves.

    Raises:
        OutsideOfRun: if nobody provides it. The message says where to declare it.
    """
    return scope_for("secret()").run.host.secret(name)


def is_cancelled() -> bool:
    """Whether the current code was asked to stop. A thread asks it between two steps."""
    return scope_for("is_cancelled()").cancel.reason is not None
