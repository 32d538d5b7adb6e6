"""One MLflow run for each run of a flow, through all its attempts. It needs `pip install "towpath[mlflow]"`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from ._internal.artifacts import artifact
from ._internal.engine.interrupt import in_engine_code
from ._internal.engine.scope import Scope, scope_for
from ._internal.keep.keep import keep_in, kept_in
from ._internal.problem import InvalidDefinition

__all__ = ["mlflow_run"]

_RUN_TAG = "towpath.run_id"
_KEY = "mlflow"
_STATUS = {"completed": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
_CHOICES_MAX = 2


class _Tracked(NamedTuple):
    """The MLflow run of a run."""

    id: str
    experiment_id: str
    uri: str
    """The tracking server."""


class _Threads(threading.local):
    """How many `with` blocks of a thread, or of the coroutines in it, use the run."""

    depth = 0


_threads = _Threads()
_finding = threading.Lock()


@contextmanager
def mlflow_run(experiment: str | None = None, *, tags: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Makes the MLflow run of this run active: `mlflow.log_metric` and autologging write to it.

    Use it in tasks: a later attempt reuses a completed task, so it logs nothing twice. The flow's own function runs again in
    each attempt. The MLflow run gets its status from the outcome of the flow, and a link on the run's page.

    Args:
        experiment: its name. Default: MLFLOW_EXPERIMENT_NAME, else the name of the deployment. Only the first use in a run counts.
        tags: tags for the MLflow run. It also has `towpath.run_id`, `towpath.deployment`, `towpath.version` and `towpath.attempt`.

    Returns: the active run of MLflow.

    Raises:
        InvalidDefinition: if MLflow is not installed.
        OutsideOfRun: outside of a flow.

    Example:
        @task
        def fit(depth: int) -> float:
            with mlflow_run():
                mlflow.log_metric("accuracy", 0.9)
    """
    scope = scope_for("mlflow_run()", "Use it inside a flow's function or task.")
    try:
        import mlflow
    except ImportError as error:
        raise InvalidDefinition(
            f"mlflow_run() needs the package {error.name}, which this Python does not have.",
            next='Install the extra: pip install "towpath[mlflow]".',
        ) from error
    library: Any = mlflow
    active = in_engine_code(_enter, library, scope, experiment, dict(tags or {}))
    try:
        yield active
    finally:
        in_engine_code(_leave, library, active.info.run_id)


def _enter(library: Any, scope: Scope, experiment: str | None, tags: dict[str, str]) -> Any:
    tracked = _tracked(library, scope, experiment)
    _set_tags(library.MlflowClient(), tracked, tags)
    active = library.active_run()
    if _threads.depth == 0 or active is None or active.info.run_id != tracked.id:
        active = library.start_run(run_id=tracked.id, nested=True)
    _threads.depth += 1
    return active


def _leave(library: Any, run_id: str) -> None:
    _threads.depth -= 1
    active = library.active_run()
    if _threads.depth == 0 and active is not None and active.info.run_id == run_id:
        # Only the end of the flow ends it.
        library.end_run("RUNNING")


def _tracked(library: Any, scope: Scope, experiment: str | None) -> _Tracked:
    """The MLflow run of this run: known in this process, kept by an earlier attempt, found by its tag, or a new one."""
    run = scope.run
    with _finding:
        known = run.attached.get(_KEY)
        if isinstance(known, _Tracked):
            return known
        client = library.MlflowClient()
        whole = Scope(run, "", scope.cancel, scope.calls, scope.is_async)
        told = kept_in(whole, _KEY)
        uri = str(library.get_tracking_uri())
        if isinstance(told, list) and len(told) == len(_Tracked._fields) and told[2] == _public(uri):
            tracked = _Tracked(*map(str, told))
        else:
            tracked = _found_or_made(client, scope, experiment, _public(uri))
            keep_in(whole, _KEY, list(tracked))
        facts = run.host.facts
        _set_tags(
            client,
            tracked,
            {
                "towpath.deployment": facts.deployment,
                "towpath.version": str(facts.version),
                "towpath.attempt": str(facts.attempt),
            },
        )
        # Nested runs go to the experiment that is set, not to that of the run around them.
        library.set_experiment(experiment_id=tracked.experiment_id)
        run.attached[_KEY] = tracked
        run.at_end.append(lambda outcome: client.set_terminated(tracked.id, _STATUS[outcome]))
    _link(tracked)
    return tracked


def _set_tags(client: Any, tracked: _Tracked, tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        client.set_tag(tracked.id, name, value)


def _found_or_made(client: Any, scope: Scope, experiment: str | None, uri: str) -> _Tracked:
    facts = scope.run.host.facts
    name = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or facts.deployment
    experiment_id = _experiment(client, name)
    # An attempt may have ended after it made the run and before it kept the id.
    found = client.search_runs([experiment_id], f"tags.`{_RUN_TAG}` = '{facts.run_id}'", max_results=_CHOICES_MAX)
    if found:
        return _Tracked(found[-1].info.run_id, experiment_id, uri)
    made = client.create_run(
        experiment_id, tags={_RUN_TAG: facts.run_id}, run_name=f"{facts.deployment} {facts.run_id[-8:]}"
    )
    return _Tracked(made.info.run_id, experiment_id, uri)


def _experiment(client: Any, name: str) -> str:
    """The id of an experiment, which is made if it is missing."""
    known = client.get_experiment_by_name(name)
    if known is None:
        try:
            return str(client.create_experiment(name))
        except Exception:
            # Another run may have made it meanwhile.
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
    return str(known.experiment_id)


def _link(tracked: _Tracked) -> None:
    """Shows the MLflow run on the run's page."""
    if tracked.uri.startswith(("http://", "https://")):
        place = f"experiments/{quote(tracked.experiment_id, safe='')}/runs/{quote(tracked.id, safe='')}"
        artifact.link(_KEY, f"{tracked.uri.rstrip('/')}/#/{place}", text=f"Run {tracked.id}", title="MLflow")
    else:
        artifact.markdown(_KEY, f"Run `{tracked.id}` of experiment `{tracked.experiment_id}`.", title="MLflow")


def _public(uri: str) -> str:
    """The address of a tracking server without a password. Of a database, only its kind."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return parts.scheme or "file"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
