"""Flows and tasks that resume where they failed.

A flow is a function. It calls tasks, which are functions too. A worker in your network runs them and keeps their results,
so that a later attempt of a run begins where the last one ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._internal.artifacts import artifact as artifact
    from ._internal.cache.task_cache import Cache as Cache
    from ._internal.engine.children import RunState as RunState
    from ._internal.engine.children import get_run as get_run
    from ._internal.engine.children import run_child as run_child
    from ._internal.engine.children import start_run as start_run
    from ._internal.engine.context import is_cancelled as is_cancelled
    from ._internal.engine.context import run_facts as run_facts
    from ._internal.engine.context import secret as secret
    from ._internal.engine.due import Due as Due
    from ._internal.flow import Flow as Flow
    from ._internal.flow import flow as flow
    from ._internal.jobs.job import Job as Job
    from ._internal.jobs.job import JobStatus as JobStatus
    from ._internal.keep.alike import now as now
    from ._internal.keep.alike import random as random
    from ._internal.keep.alike import uuid as uuid
    from ._internal.keep.keep import keep as keep
    from ._internal.keep.keep import kept as kept
    from ._internal.keep.saved import load as load
    from ._internal.keep.saved import save as save
    from ._internal.logs.log import log as log
    from ._internal.notebook.declare import notebook as notebook
    from ._internal.problem import AsyncInSync as AsyncInSync
    from ._internal.problem import CallRefused as CallRefused
    from ._internal.problem import Cancelled as Cancelled
    from ._internal.problem import ChildFailed as ChildFailed
    from ._internal.problem import FromEarlier as FromEarlier
    from ._internal.problem import GatewayRefused as GatewayRefused
    from ._internal.problem import InvalidAnswer as InvalidAnswer
    from ._internal.problem import InvalidDefinition as InvalidDefinition
    from ._internal.problem import InvalidParameters as InvalidParameters
    from ._internal.problem import InvalidResource as InvalidResource
    from ._internal.problem import JobFailed as JobFailed
    from ._internal.problem import JobOutcomeUnknown as JobOutcomeUnknown
    from ._internal.problem import LoopRunning as LoopRunning
    from ._internal.problem import NonRetryable as NonRetryable
    from ._internal.problem import NotData as NotData
    from ._internal.problem import NotInProcess as NotInProcess
    from ._internal.problem import NotPicklable as NotPicklable
    from ._internal.problem import NotRemote as NotRemote
    from ._internal.problem import NotSerialisable as NotSerialisable
    from ._internal.problem import OutsideOfRun as OutsideOfRun
    from ._internal.problem import ProcessEnded as ProcessEnded
    from ._internal.problem import SlotsHeld as SlotsHeld
    from ._internal.problem import Stopped as Stopped
    from ._internal.problem import StoreFault as StoreFault
    from ._internal.problem import SuspendInTask as SuspendInTask
    from ._internal.problem import TaskIdentityUnknown as TaskIdentityUnknown
    from ._internal.problem import TaskProcessEnded as TaskProcessEnded
    from ._internal.problem import TaskTimeout as TaskTimeout
    from ._internal.problem import TowpathError as TowpathError
    from ._internal.problem import WaitExpired as WaitExpired
    from ._internal.resources.resource import AsyncResource as AsyncResource
    from ._internal.resources.resource import Resource as Resource
    from ._internal.resources.resource import resource as resource
    from ._internal.resources.settings import from_secret as from_secret
    from ._internal.store.codec import Ref as Ref
    from ._internal.suspend import suspend as suspend
    from ._internal.task.retry import exponential as exponential
    from ._internal.task.task import AsyncTask as AsyncTask
    from ._internal.task.task import Task as Task
    from ._internal.task.task import task as task
    from ._internal.task.with_setup import with_setup as with_setup

_PROBLEMS = (
    "AsyncInSync",
    "CallRefused",
    "Cancelled",
    "ChildFailed",
    "FromEarlier",
    "GatewayRefused",
    "InvalidAnswer",
    "InvalidDefinition",
    "InvalidParameters",
    "InvalidResource",
    "JobFailed",
    "JobOutcomeUnknown",
    "LoopRunning",
    "NonRetryable",
    "NotData",
    "NotInProcess",
    "NotPicklable",
    "NotRemote",
    "NotSerialisable",
    "OutsideOfRun",
    "ProcessEnded",
    "SlotsHeld",
    "Stopped",
    "StoreFault",
    "SuspendInTask",
    "TaskIdentityUnknown",
    "TaskProcessEnded",
    "TaskTimeout",
    "TowpathError",
    "WaitExpired",
)
_HOMES = {
    "AsyncResource": "resources.resource",
    "AsyncTask": "task.task",
    "Cache": "cache.task_cache",
    "Due": "engine.due",
    "Flow": "flow",
    "Job": "jobs.job",
    "JobStatus": "jobs.job",
    "Ref": "store.codec",
    "Resource": "resources.resource",
    "RunState": "engine.children",
    "Task": "task.task",
    "exponential": "task.retry",
    "flow": "flow",
    "from_secret": "resources.settings",
    "get_run": "engine.children",
    "is_cancelled": "engine.context",
    "keep": "keep.keep",
    "kept": "keep.keep",
    "load": "keep.saved",
    "log": "logs.log",
    "notebook": "notebook.declare",
    "now": "keep.alike",
    "random": "keep.alike",
    "resource": "resources.resource",
    "run_child": "engine.children",
    "run_facts": "engine.context",
    "save": "keep.saved",
    "secret": "engine.context",
    "start_run": "engine.children",
    "task": "task.task",
    "uuid": "keep.alike",
    "with_setup": "task.with_setup",
    **{name: "problem" for name in _PROBLEMS},
}
_MODULES = {"artifact": "artifacts.artifact", "suspend": "suspend.suspend"}

__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name: str) -> Any:
    """Loads a name when it is first used: importing this package costs little."""
    import importlib

    if name in _MODULES:
        found: Any = importlib.import_module(f"._internal.{_MODULES[name]}", __name__)
    elif name in _HOMES:
        found = getattr(importlib.import_module(f"._internal.{_HOMES[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
