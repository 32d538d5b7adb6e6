"""Settings of resources: those in the code, those of a stage, and the secrets in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..problem import Fault

_SECRET = "$secret"
_DEPTH_MAX = 16
"""The deepest nesting of settings that is read."""


def from_secret(name: str) -> Any:
    """Takes a part of a resource's settings from a secret of the run: one that its deployment names, or without a worker
    the variable `TOWPATH_SECRET_<NAME>`.

    Example:
        @resource(settings={"url": "postgres://localhost/dev", "password": from_secret("db-password")})
    """
    return {_SECRET: name}


def _secret_named(value: Any) -> str | None:
    """The name of the secret that a placeholder stands for. None: it is none."""
    name = value.get(_SECRET) if isinstance(value, Mapping) and len(value) == 1 else None
    return name if isinstance(name, str) else None


def with_secret_values(settings: Any, secret: Callable[[str], str]) -> Any:
    """Settings with the values of their secrets. Raises what `secret` raises."""
    if isinstance(settings, (list, tuple)):
        return [with_secret_values(item, secret) for item in settings]
    if not isinstance(settings, Mapping):
        return settings
    name = _secret_named(settings)
    if name is not None:
        return secret(name)
    return {key: with_secret_values(value, secret) for key, value in settings.items()}


def overridden(settings: Any, overrides: Any) -> Any:
    """Settings with a stage's settings merged into them, field by field. None: the stage has none."""
    if overrides is None:
        return settings
    are_fields = isinstance(settings, Mapping) and isinstance(overrides, Mapping)
    if not are_fields or _secret_named(overrides) is not None:
        return overrides
    return {**settings, **{key: overridden(settings.get(key), value) for key, value in overrides.items()}}


def unknown_settings(written: Any, given: Any, path: str = "settings", depth: int = 0) -> list[Fault]:
    """Settings of a stage that the code does not have. An object that is empty in the code may have any."""
    if not isinstance(given, Mapping) or not isinstance(written, Mapping) or depth > _DEPTH_MAX:
        return []
    if not written or _secret_named(given) is not None:
        return []
    faults: list[Fault] = []
    for key, value in given.items():
        if key in written:
            faults.extend(unknown_settings(written[key], value, f"{path}.{key}", depth + 1))
        else:
            from ..deploy.closest import advice

            faults.append(Fault(f"{path}.{key}", f'unknown setting "{key}"', advice(key, written)))
    return faults
