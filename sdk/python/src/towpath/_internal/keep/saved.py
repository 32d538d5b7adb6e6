"""Values that a flow stores by itself, to pass their refs instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from ..engine.interrupt import in_engine_code
from ..engine.scope import Scope, scope_for
from ..problem import InvalidAnswer, InvalidDefinition, StoreFault
from ..store.codec import Ref
from ..store.refs import is_ref, parameter_of

Value = TypeVar("Value")

_NAME_CHARS_MAX = 200


def save(name: str, value: object) -> Ref:
    """Stores a value on your side and returns its ref, a dict of a few bytes. Only the ref can leave. Pass it to tasks, and
    in the parameters of runs that the flow starts. As an argument it counts by the content of its value.

    Args:
        name: 1 to 200 characters. It is a part of the value's path in the store.
        value: what a task may return without an annotation: plain data, a table, an array.

    Raises:
        NotSerialisable: names the part of the value that is not data.
        StoreFault: if it could not be written.

    Example:
        rows = save("rows", read_rows())
        totals = [total(rows, month) for month in months]
    """
    return in_engine_code(_save, scope_for("save()"), name, value)


def _save(scope: Scope, name: str, value: object) -> Ref:
    if not isinstance(name, str) or not 1 <= len(name) <= _NAME_CHARS_MAX:
        raise InvalidDefinition(f"save needs a name of 1 to {_NAME_CHARS_MAX} characters.")
    ref = scope.run.checkpoints.save_value(value, path=scope.path, name=name)
    scope.run.lineage.note_saved(ref, value, scope.path)
    return ref


@overload
def load(ref: Mapping[str, Any], *, returns: type[Value]) -> Value: ...


@overload
def load(ref: Mapping[str, Any], *, returns: Any = ...) -> Any: ...


def load(ref: Mapping[str, Any], *, returns: Any = Any) -> Any:
    """Loads the value of a ref from the store and checks its hash.

    Args:
        ref: what `save` returned, or `ctx.save` in a flow in TypeScript: its four fields, and no other.
        returns: the type of the value, such as a dataclass. Default: what was stored.

    Raises:
        StoreFault: if the value is gone or was changed, or `ref` is no ref.
        InvalidAnswer: if the value does not match `returns`.
    """
    return in_engine_code(_load, scope_for("load()"), ref, returns)


def _load(scope: Scope, ref: object, returns: Any) -> Any:
    if not is_ref(ref):
        raise StoreFault(
            "The value is no ref.",
            next="Pass what `save` returned: a dict with uri, codec, sizeBytes and sha256, and no other fields.",
        )
    value = _loaded(scope, ref)
    if returns is not Any:
        from ..input.convert import convert

        faults: list[Any] = []
        value = convert(returns, value, "value", faults)
        if faults:
            raise InvalidAnswer("the value of the ref", faults)
    scope.run.lineage.note_loaded(value, ref)
    return value


def _loaded(scope: Scope, ref: Ref) -> Any:
    try:
        return scope.run.host.store.load(ref)
    except StoreFault as fault:
        place = parameter_of(ref, scope.run.host.parameters)
        if place is None:
            raise
        # A person may have written it by hand, or it was saved in another store.
        raise StoreFault(
            f'The ref in the parameter "{place}" cannot be loaded: {fault}',
            next="Start the run with a ref that `save` returned in a run with this store.",
        ) from fault
