"""Flows that fork while other threads hold every lock of the engine. `python -m tests.forking_flow` prints what became of each
child, and what the run recorded."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from towpath import artifact, flow, is_cancelled, keep, kept, log, now, secret, start_run, suspend, task, with_setup
from towpath._internal.engine.scope import current
from towpath._internal.engine.timers import TIMERS
from towpath._internal.logs.capture import capture
from towpath._internal.problem import OutsideOfRun
from towpath._internal.task import run_task
from towpath.test import run_flow

CHILD_S_MAX = 120
"""A child that still runs then hangs. The machine may be busy."""
HUNG = "hung"
FOLDER = Path(tempfile.mkdtemp(prefix="towpath-forks-"))


@task
def add(a: int) -> int:
    return a + 1


@task
async def fetch(a: int) -> int:
    return a + 1


@flow
def inner() -> int:
    return add(7)


def locks() -> list[Any]:
    """The locks that code of the author can meet in a child."""
    scope = current.get()
    assert scope is not None
    run = scope.run
    return [
        TIMERS._changed,
        run.open.changed,
        run.pool._changed,
        run.cancel._lock,
        scope.cancel._lock,
        scope.calls._lock,
        run.checkpoints._lock,
        run.lineage._lock,
        run_task._starting,
        *(handler.lock for handler in logging.getLogger().handlers),
        sys.stdout._lock,  # type: ignore[attr-defined]
        sys.stderr._lock,  # type: ignore[attr-defined]
    ]


@contextlib.contextmanager
def held(more: list[Any]) -> Iterator[None]:
    """Holds every lock in another thread."""
    # In the flow itself, two of them are the same.
    all_locks = {id(lock): lock for lock in (*locks(), *more)}.values()
    have, over = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for lock in all_locks:
                stack.enter_context(lock)
            have.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    have.wait()
    try:
        yield
    finally:
        over.set()
        if os.getpid() == PID:
            thread.join()


PID = os.getpid()
EXITS: dict[str, Any] = {}


def note_exit(name: str, child: int) -> None:
    until = time.monotonic() + CHILD_S_MAX
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            EXITS[name] = HUNG
            return
        time.sleep(0.002)
    EXITS[name] = os.waitstatus_to_exitcode(ended[1])


def fork(*more: Any) -> int:
    """Forks while every lock is held. Returns 0 in the child."""
    with held(list(more)):
        return os.fork()


def refused(call: Callable[[], Any]) -> None:
    """Ends a child: 0 if the call is refused with its next step."""
    try:
        call()
    except OutsideOfRun as error:
        os._exit(0 if "was forked by the flow" in str(error) else 8)
    os._exit(9)


def speak() -> None:
    print("a child prints")
    log.info("a child logs")
    logging.getLogger("child").error("a child logs by logging")
    warnings.warn("a child warns", stacklevel=1)
    sys.stdout.flush()
    os._exit(0)


def speak_and_return() -> None:
    log.info("a child of multiprocessing logs")
    print("a child of multiprocessing prints")
    try:
        add(1)
    except OutsideOfRun:
        return
    sys.exit(9)


@task(checkpoint=False)
def forks() -> None:
    future = add.submit(10)
    future.result()
    pump = add.map([20, 21])
    slow = sleeps.submit()
    calls: dict[str, Callable[[], Any]] = {
        "call": lambda: add(1),
        "submit": lambda: add.submit(1),
        "map": lambda: add.map([1]),
        "future": future.result,
        "running future": slow.result,
        "running map": pump.results,
        "iterated map": lambda: next(iter(pump)),
        "flow": inner,
        "keep": lambda: keep("step", 1),
        "kept": lambda: kept("step"),
        "now": now,
        "secret": lambda: secret("token"),
        "artifact": lambda: artifact.markdown("key", "text"),
        "cancelled": is_cancelled,
        "start": lambda: start_run("other"),
        "suspend": lambda: suspend.sleep("1d"),
        "setup": with_setup(lambda: 1, lambda _: None).__enter__,
    }
    for name, call in calls.items():
        child = fork(slow._changed, pump._pump._changed, pump._pump._taking)
        if child == 0:
            refused(call)
        note_exit(name, child)
    child = fork()
    if child == 0:
        speak()
    note_exit("speaks", child)
    (FOLDER / "go").touch()
    slow.result()
    pump.results()


@task(checkpoint=False)
def sleeps() -> None:
    while not (FOLDER / "go").exists():
        time.sleep(0.002)


@task(checkpoint=False)
def ends(how: str) -> str:
    child = fork()
    if child == 0:
        if how == "sys.exit":
            sys.exit(3)
        if how == "sys.exit with a text":
            sys.exit("no data")
        if how == "raise":
            raise ValueError("in the child")
        return "twice"
    note_exit(how, child)
    return how


@task(checkpoint=False)
def loops() -> None:
    for one in add.map([30, 31, 32]):
        if one != 31:
            continue
        child = fork()
        if child == 0:
            sys.exit(4)
        note_exit("in a loop over a map", child)


@task(checkpoint=False)
def sets_up() -> None:
    with with_setup(lambda: 1, lambda _: (FOLDER / f"torn down by {os.getpid()}").touch()):
        child = fork()
        if child == 0:
            sys.exit(5)
        note_exit("in a set-up", child)


@task(checkpoint=False, timeout="1h")
def starts_programs() -> None:
    process = multiprocessing.get_context("fork").Process(target=speak_and_return)
    with held([]):
        process.start()
    process.join(CHILD_S_MAX)
    EXITS["multiprocessing"] = HUNG if process.exitcode is None else process.exitcode
    with held([]):
        # preexec_fn runs between fork and exec.
        done = subprocess.run(
            [sys.executable, "-c", ""], preexec_fn=lambda: log.info("a child logs"), timeout=CHILD_S_MAX
        )
    EXITS["preexec_fn"] = done.returncode


@flow
def body() -> int:
    forks()
    loops()
    sets_up()
    starts_programs()
    for how in ("return", "sys.exit", "sys.exit with a text", "raise"):
        assert ends(how) == how
    threads = ends.map(["thread"]).results()
    assert threads == ["thread"]
    child = fork()
    if child == 0:
        # The flow's own function.
        return 5
    note_exit("flow returns", child)
    return add(1)


@task(checkpoint=False)
async def ends_async(how: str) -> str:
    child = fork()
    if child == 0:
        if how == "await":
            await asyncio.sleep(0)
        if how == "sys.exit":
            sys.exit(3)
        if how == "call":
            refused(lambda: fetch(1))
        return "twice"
    note_exit(f"async {how}", child)
    return how


@flow
async def body_async() -> int:
    async def beside() -> None:
        while not over:
            await asyncio.sleep(0)
        if os.getpid() != PID:
            (FOLDER / "beside").touch()

    over: list[bool] = []
    other = asyncio.ensure_future(beside())
    for how in ("return", "await", "sys.exit", "call"):
        assert await ends_async(how) == how
    over.append(True)
    await other
    return await fetch(1)


def note_end() -> None:
    """What libraries do when a process ends, such as the removal of files."""
    (FOLDER / f"end of {os.getpid()}").touch()


def main() -> None:
    atexit.register(note_end)
    scratch = tempfile.TemporaryDirectory(dir=FOLDER, prefix="scratch-")
    warnings.simplefilter("ignore", DeprecationWarning)
    told: dict[str, Any] = {}
    output: list[str] = []

    class Records:
        def post(self, record: Any) -> None:
            output.append(record["text"])

        post_held = post_stored = when_held = post

    release = capture(Records())  # type: ignore[arg-type]
    try:
        for one in (body, body_async):
            run = run_flow(one)
            told[one.name] = {
                "outcome": run.outcome,
                "error": str(run.error),
                "value": run.value,
                "logs": list(run.logs),
                "ends": [r["path"] for r in run.records if r["type"] == "task" and r["move"] in ("complete", "fail")],
            }
    finally:
        release()
    told["exits"] = EXITS
    told["output"] = output
    told["files"] = sorted(one.name for one in FOLDER.iterdir() if not one.name.startswith("scratch-"))
    told["pid"] = PID
    told["hasScratch"] = os.path.isdir(scratch.name)
    print("RESULT " + json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
