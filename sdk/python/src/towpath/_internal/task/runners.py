"""Where the functions of tasks run, if it is not a thread of the flow's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..engine.cancel import Cancel
    from .identity import CallLedger
    from .run_task import TaskCall


class OpenRunner(Protocol):
    """A runner in use by one run. Safe for several threads."""

    def call(self, call: TaskCall, calls: CallLedger, cancel: Cancel) -> Any:
        """Runs one try of a call, and returns its result. Blocks.

        Raises:
            BaseException: what the function raised, or the reason to stop.
        """

    def close(self) -> None:
        """Ends what is left of its calls. Never raises."""


class Runner(Protocol):
    """The value of the option `runs_in`."""

    def open(self) -> OpenRunner:
        """Makes it ready for one run."""
        ...
