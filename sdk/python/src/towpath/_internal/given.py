"""The options of a flow as its author gives them, for type checkers. Nothing loads this module when a flow runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict


class OtherFlowOptions(TypedDict, total=False):
    """The options of `flow` without its name, each of which may be left out."""

    run_name: str | Callable[..., str] | None
    due_input: Callable[..., Any] | None
    checkpoint: bool | None
    compute: Mapping[str, Any] | None
    on_completion: Callable[..., Any] | None
    on_failure: Callable[..., Any] | None
    on_cancellation: Callable[..., Any] | None
    on_crash: Callable[..., Any] | None


class GivenFlowOptions(OtherFlowOptions, total=False):
    """The options of `flow`, each of which may be left out."""

    name: str | None
