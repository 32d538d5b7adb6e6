"""Progress inside a task, which a later try or attempt continues from."""

from __future__ import annotations

from typing import Any

from ..clock import instant
from ..engine.interrupt import in_engine_code
from ..engine.scope import Scope, scope_for
from ..problem import InvalidDefinition, StoreFault
from ..store.codec import Ref
from ..task.identity import kept_path

_NAME_CHARS_MAX = 200


def _path_of(scope: Scope, name: str) -> str:
    if isinstance(name, str) and 1 <= len(name) <= _NAME_CHARS_MAX:
        return kept_path(scope.path, name, scope.run.host.store.hashes)
    raise InvalidDefinition(f"keep needs a name of 1 to {_NAME_CHARS_MAX} characters.")


def keep(name: str, value: Any) -> None:
    """Stores progress of the current task call. Returns once the worker holds it. The latest value of a name counts.

    Raises:
        NotSerialisable: names the part of the value that is not data.
        StoreFault: if it could not be written.
    """
    in_engine_code(lambda: keep_in(scope_for("keep()"), name, value))


def keep_in(scope: Scope, name: str, value: Any) -> Ref:
    """Stores a named value of a task call or of the flow. @returns its address"""
    path = _path_of(scope, name)
    run = scope.run
    ref = run.checkpoints.keep_value(value, path=scope.path, name=f"keep {name}")
    run.host.records.post_held({"type": "kept", "at": instant(run.host.clock), "path": path, "result": ref})
    run.checkpoints.earlier.note_value(path, ref)
    return ref


def kept(name: str, default: Any = None) -> Any:
    """The latest stored value of a name, or `default`. If it cannot be loaded, the log warns."""
    return in_engine_code(lambda: kept_in(scope_for("kept()"), name, default))


def kept_in(scope: Scope, name: str, default: Any = None) -> Any:
    """The latest stored value of a name, of a task call or of the flow."""
    checkpoints = scope.run.checkpoints
    ref = checkpoints.earlier.value_at(_path_of(scope, name))
    if ref is None:
        return default
    try:
        return scope.run.host.store.load(ref)
    except StoreFault as fault:
        checkpoints.warn(scope.path, f'The progress "{name}" cannot be loaded, so it counts as missing: {fault}')
        return default
