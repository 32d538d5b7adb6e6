"""The errors of this package. Each has a stable code, and says what to do next where there is something to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class TowpathError(Exception):
    """The base class of every error of this package. `code` is stable. `next` is the next step, or None."""

    code = "towpath-error"

    def __init__(self, message: str, *, next: str | None = None) -> None:
        super().__init__(message if next is None else f"{message} {next}")
        self.next = next


class Fault(NamedTuple):
    """A field that is not valid, and why."""

    path: str
    message: str
    suggestion: str | None = None


def _lines(faults: Sequence[Fault]) -> str:
    return "".join(
        f"\n  {fault.path}: {fault.message}" + (f"; {fault.suggestion}" if fault.suggestion else "") for fault in faults
    )


class InvalidDefinition(TowpathError):
    """A flow or task was declared with invalid options. Raised at its declaration."""

    code = "invalid-definition"


class InvalidResource(TowpathError):
    """The settings of a resource do not match their type. `faults` names each field."""

    code = "invalid-resource"

    def __init__(self, resource: str, faults: Sequence[Fault]) -> None:
        super().__init__(f'The settings of resource "{resource}" are not valid:{_lines(faults)}')
        self.faults = tuple(faults)


class InvalidParameters(TowpathError):
    """The parameters do not match the flow's signature. `faults` names each field."""

    code = "invalid-parameters"

    def __init__(self, flow: str, faults: Sequence[Fault]) -> None:
        super().__init__(f'The parameters of flow "{flow}" are not valid:{_lines(faults)}')
        self.faults = tuple(faults)


class NotRemote(TowpathError):
    """A task cannot run in another pool."""

    code = "not-remote"

    def __init__(self, task: str, why: str, next: str) -> None:
        super().__init__(f'Task "{task}" cannot run in another pool: {why}', next=next)


class InvalidAnswer(TowpathError):
    """An answer or event does not match its type. `faults` names each field."""

    code = "invalid-answer"

    def __init__(self, what: str, faults: Sequence[Fault]) -> None:
        super().__init__(f"The value received for the {what} does not match its type:{_lines(faults)}")
        self.faults = tuple(faults)


class OutsideOfRun(TowpathError):
    """A function that needs a run was called outside of one."""

    code = "outside-of-run"

    def __init__(self, what: str, next: str) -> None:
        super().__init__(f"{what} was used outside of a running flow.", next=next)


class AsyncInSync(TowpathError):
    """An `async def` task was called in a flow that is a plain `def`."""

    code = "async-in-sync"

    def __init__(self, what: str, flow: str) -> None:
        super().__init__(
            f'{what} is an async def, but it was called in a plain def of flow "{flow}", which cannot await it.',
            next="Write the caller as async def and await the call, or write what it calls as def.",
        )


class LoopRunning(TowpathError):
    """An `async def` flow was run by code that an event loop already runs."""

    code = "loop-running"

    def __init__(self, flow: str) -> None:
        super().__init__(
            f'Flow "{flow}" is an async def, which needs an event loop of its own, but this thread already runs one.',
            next=f"Run it in another thread: await asyncio.to_thread({flow.replace('-', '_')}, ...).",
        )


class TaskIdentityUnknown(TowpathError):
    """A call cannot be recognised in a later attempt."""

    code = "task-identity-unknown"


class NotData(TaskIdentityUnknown):
    """An argument cannot be hashed, so it cannot identify a call."""

    code = "not-data"

    def __init__(self, what: str, *, found: str, place: str, next: str) -> None:
        super().__init__(f"{what}: {place} is {found}, which cannot be compared with another call's.", next=next)


class NotSerialisable(TowpathError):
    """A value cannot be stored, because it would not come back equal."""

    code = "not-serialisable"

    def __init__(self, path: str, found: str, *, next: str | None = None) -> None:
        super().__init__(f"{path} is {found}, which cannot be stored.", next=next)


class StoreFault(TowpathError):
    """The store does not have the value, or could not write it."""

    code = "store-fault"


class WaitExpired(TowpathError):
    """A wait passed its deadline."""

    code = "wait-expired"

    def __init__(self, path: str) -> None:
        super().__init__(f"The wait at {path} passed its deadline without an answer.")
        self.path = path


class SuspendInTask(TowpathError):
    """A task called a function that suspends the run. Only the flow's own function can."""

    code = "suspend-in-task"

    def __init__(self, what: str, path: str) -> None:
        super().__init__(
            f"{what} was called in the task run {path}.",
            next="Call it in the flow's own function, between two tasks.",
        )


class ChildFailed(TowpathError):
    """A run that the flow waited for did not complete."""

    code = "child-failed"

    def __init__(self, *, what: str, run_id: str, state: str, cause: str | None) -> None:
        why = "" if cause is None else f", cause {cause}"
        super().__init__(f"Run {run_id} of {what} ended with state {state}{why}.")
        self.run_id = run_id
        self.state = state
        self.run_cause = cause


class JobFailed(TowpathError):
    """An external job that the flow waited for has failed."""

    code = "job-failed"

    def __init__(self, job: str, message: str) -> None:
        head = f'Job "{job}" has failed: '
        # The recorded message of an earlier attempt begins with it already.
        super().__init__(message if message.startswith(head) else f"{head}{message}")
        self.job = job


class JobOutcomeUnknown(TowpathError):
    """A process died while it submitted an external job, and it is unknown whether the job was submitted. It is not
    submitted again. `key` is the key of the submission."""

    code = "unknown-outcome"

    def __init__(self, job: str, key: str, why: str) -> None:
        super().__init__(
            f'It is unknown whether job "{job}" was submitted with the key {key}, because {why}.',
            next="Look for it at its backend. Give the job a find(key), or idempotent=True if its backend accepts each key "
            "once.",
        )
        self.job = job
        self.key = key


class ProcessEnded(TowpathError):
    """The process of the flow ended without an outcome. `run_cause` is `killed`, `oom`, `timeout`, `run-timeout` or `error`."""

    code = "process-ended"

    def __init__(self, run_cause: str, message: str) -> None:
        super().__init__(message)
        self.run_cause = run_cause


class TaskTimeout(TowpathError):
    """A try of a task exceeded its time limit. `ignored`: its function did not end, and the task's `if_ignored` says that
    the attempt's process ends then."""

    code = "task-timeout"

    def __init__(self, task: str, timeout_ms: float, ignored_ms: float | None = None) -> None:
        """
        Args:
            ignored_ms: how long its function has ignored the request to stop, if the process ends because of it.
        """
        text = f'A try of task "{task}" exceeded its time limit of {timeout_ms:g} ms'
        if ignored_ms is None:
            super().__init__(f"{text}.")
        else:
            super().__init__(
                f"{text} and did not end within {ignored_ms:g} ms after it was asked to stop. So the process ends.",
                next='Ask is_cancelled() between two steps, raise timeout or timeout_grace, or set runs_in="process".',
            )
        self.task = task
        self.timeout_ms = timeout_ms
        self.ignored = ignored_ms is not None


class TaskProcessEnded(TowpathError):
    """The process of a task ended before the task did. `exit_code` or `signal` says how; the other one is None."""

    code = "task-process-ended"

    def __init__(self, task: str, status: int | None) -> None:
        self.task = task
        self.exit_code = status if status is not None and status >= 0 else None
        self.signal = -status if status is not None and status < 0 else None
        super().__init__(f'The process of task "{task}" ended before the task did: {_end_of(self)}')


def _end_of(ended: TaskProcessEnded) -> str:
    if ended.exit_code is not None:
        return f"it exited with code {ended.exit_code}. Check whether its code calls os._exit."
    if ended.signal is None:
        return "it closed its connection to the flow's process."
    import signal

    try:
        name = signal.Signals(ended.signal).name
    except ValueError:
        name = f"signal {ended.signal}"
    if name == "SIGKILL":
        return "it was killed by SIGKILL. If nobody did that, memory ran out: the machine's `dmesg` says so."
    if name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE"):
        return f"{name} ended it. Look for a fault in native code: the output has the Python stack."
    return f"{name} ended it."


class NotInProcess(TowpathError):
    """A task that runs in a process of its own used what only the flow's process has."""

    code = "not-in-process"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was called in a task that runs in a process of its own.",
            next='Call it from the flow, or remove runs_in="process" from the task that calls it.',
        )


class SlotsHeld(TowpathError):
    """A task that holds slots called one that needs some. Two such tasks could wait for each other without end."""

    code = "slots-held"

    def __init__(self, task: str, holder: str) -> None:
        super().__init__(
            f'Task "{task}" needs slots, but "{holder}", which calls it, holds some.',
            next=f'Give "{holder}" the limits and tags of "{task}", or call "{task}" from the flow.',
        )


class NonRetryable(TowpathError):
    """Raise it in a task whose retry is pointless. It also counts as the cause of another error."""

    code = "non-retryable"


class NotPicklable(NonRetryable):
    """An argument or result of a task cannot be sent to another process, or back."""

    code = "not-picklable"

    def __init__(self, task: str, what: str, next: str) -> None:
        super().__init__(f'Task "{task}" runs in a process of its own: {what}', next=next)


class CallRefused(TowpathError):
    """The control plane or the worker refused a call of the flow. `problem` is its code."""

    code = "call-refused"

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


class GatewayRefused(TowpathError):
    """The worker does not accept what this process sends."""

    code = "gateway-refused"


class FromEarlier(TowpathError):
    """The error of an earlier attempt whose class is not a built-in one. `name` is the class's name."""

    code = "from-earlier"

    def __init__(self, name: str, message: str, stack: str | None) -> None:
        super().__init__(message)
        self.name = name
        self.stack = stack


class Cancelled(BaseException):
    """The run was asked to stop. It is no `Exception`, so that `except Exception` does not catch it.

    `run_cause` is `user`, `timeout`, `run-timeout` or `evicted` (the worker is drained).
    """

    def __init__(self, reason: str, run_cause: str = "user") -> None:
        text = "The run was cancelled." if reason == "" else f"The run was cancelled: {reason}"
        super().__init__(text if run_cause == "user" or reason == "" else reason)
        self.reason = reason
        self.run_cause = run_cause


class Stopped(TowpathError):
    """The worker stopped the attempt: it exceeded its time limit, or the worker's disk is full."""

    code = "stopped"

    def __init__(self, stop: Cancelled) -> None:
        super().__init__(stop.reason)
        self.run_cause = stop.run_cause
