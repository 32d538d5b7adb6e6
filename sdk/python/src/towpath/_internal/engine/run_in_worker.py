"""A process that a worker starts for one attempt of a flow.

It may get the code of a version before there is an attempt. It gets its task once, after the control plane has confirmed the
start: before that it knows no run, no parameter and no secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..clock import SYSTEM_CLOCK, instant
from ..code.load import load_module
from ..gateway.http import Address
from ..gateway.session import Session
from ..logs.capture import capture
from ..problem import InvalidDefinition
from . import hard_exit, interrupt
from .channel import Channel, open_channel
from .describe_error import describe_error, stack_of
from .run_flow import RunEnd, run_ending, run_flow

if TYPE_CHECKING:
    from ..flow import Flow

Message = Mapping[str, Any]

_MARK = "TOWPATH_RUNNER"
"""The variable by which the worker finds the processes of an attempt. No task changes it."""


def main() -> NoReturn:
    """Waits for the task of the worker that started this process, and runs it."""
    channel = open_channel()
    hard_exit.show_crashes()
    _warm_up()
    channel.tell("ready")
    message = channel.next()
    flow = None
    if message["kind"] == "load":
        try:
            flow = _flow_of(message)
        except BaseException:
            # An attempt in a process of its own will report what is wrong with the code.
            os._exit(1)
        channel.tell("loaded")
        message = channel.next()
    os.close(os.open(message["takenFile"], os.O_WRONLY | os.O_CREAT, 0o600))
    channel.tell("taken")
    if message["kind"] == "jobs":
        _tend_jobs(channel, message)
    channel.close()
    _end_process(_run(message, flow))


def _tend_jobs(channel: Channel, task: Message) -> NoReturn:
    from ..jobs.tend import Tender, tend_jobs

    def open_() -> Tender:
        _flow_of(task)
        return Tender(task["ground"])

    tend_jobs(channel, open_)


def _warm_up() -> None:
    """Imports what the first line of each run needs, which took 10 ms of its start."""
    import encodings.ascii
    import logging
    import traceback

    from ..resources import opened
    from ..store import plain_json

    logging.getLogger()
    traceback.TracebackException(TypeError, TypeError(), None)
    b"".decode("ascii")


def run_attempt(flow: Flow[Any, Any], session: Session) -> RunEnd:
    """Runs a flow as an attempt of a worker. Returns once the worker holds the outcome."""
    interrupt.install()
    session.follow_commands()
    release = capture(session.sender)
    release_exit = hard_exit.guard(session.sender)
    try:
        return run_flow(flow, session.host())
    finally:
        release_exit()
        release()
        session.close()


def _run(task: Message, loaded: Flow[Any, Any] | None) -> int:
    """Returns the exit code of the process: 0 if the flow completed."""
    address = Address(task["address"]["socket"], task["address"]["tokenFile"])
    try:
        _add_to_environment(task["env"])
        flow = loaded or _flow_of(task)
    except BaseException as error:
        _report(Session(address, task["context"]), error)
        return 1
    session = Session(address, task["context"])
    if task["ending"] is not None:
        run_ending(flow, session.host(), task["ending"])
        session.close()
        return 0
    _note_hooks(flow, task["handlesFile"])
    return 0 if run_attempt(flow, session).outcome == "completed" else 1


def _flow_of(code: Message) -> Flow[Any, Any]:
    """Imports a flow's module in its folder and environment. @raises what the module raises, or InvalidDefinition"""
    from ..flow import Flow

    _add_to_environment(code["env"])
    os.chdir(code["cwd"])
    path, name = code["module"], code["exportName"]
    try:
        module = load_module(Path(code["cwd"]), path)
    except SystemExit as error:
        raise InvalidDefinition(
            f"{path} ends the process when it is imported: sys.exit({error.code!r}). "
            'Put what the program does below `if __name__ == "__main__":`.'
        ) from error
    flow = getattr(module, name, None)
    if isinstance(flow, Flow):
        return flow
    fault = "has nothing" if flow is None else "has no flow"
    raise InvalidDefinition(f'{path} {fault} called "{name}". Define it there with @flow, and deploy again.')


def _add_to_environment(added: Mapping[str, str]) -> None:
    os.environ.update({name: value for name, value in added.items() if name != _MARK})


def _note_hooks(flow: Flow[Any, Any], path: str) -> None:
    """Tells the worker for which ends of this process the flow has a hook."""
    handled = [outcome for outcome in ("cancelled", "crashed") if flow.hook_of(outcome) is not None]
    if handled:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, " ".join(handled).encode("ascii"))
        os.close(fd)


def _report(session: Session, error: BaseException) -> None:
    """Reports, in place of the flow, that the flow could not begin."""
    print(stack_of(error), file=sys.stderr, flush=True)
    session.sender.post_held(
        {"type": "outcome", "at": instant(SYSTEM_CLOCK), "outcome": "failed", "error": describe_error(error)}
    )
    session.close()


def _end_process(code: int) -> NoReturn:
    """Ends this process as `sys.exit` does, but waits for no thread: the flow has ended."""
    import atexit

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)
