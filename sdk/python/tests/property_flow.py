"""Plays random flows with threads, coroutines and branches in real processes, and kills these anywhere.

`python -m tests.property_flow FIRST_SEED COUNT` prints a line for each fault, and ends with 1 if there is one. Every
attempt is a fork of this process, which has no other thread. Its records count as held once they are in a file, as with
a worker: records that nobody waits for are lost with the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import towpath
from towpath._internal.clock import SYSTEM_CLOCK
from towpath._internal.engine.cancel import Cancel
from towpath._internal.engine.host import Facts, Host, Resume
from towpath._internal.engine.run_flow import run_flow
from towpath._internal.engine.scope import current
from towpath._internal.store.file_store import FileStore
from towpath._internal.testing.told import checkpoints_of

_ID = "01900000-0000-7000-8000-000000000001"
_KILLS_MAX = 5
_ATTEMPT_S_MAX = 60
_SOON_S = 0.002
_DEPTH = 3

Node = dict[str, Any]


class ScriptError(Exception):
    """An error of a random flow."""


class Maker:
    """Makes one random flow: a tree of tasks, and how each calls those below it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._made = 0

    def flow(self) -> Node:
        """The flow's own function."""
        made = self._node(_DEPTH, self._random.random() < 0.6)
        return {**made, "fails": 0, "passes": False}

    def _node(self, depth: int, is_async: bool) -> Node:
        draw = self._random
        self._made += 1
        count = 0 if depth == 0 else draw.randint(1, 3)
        passes = draw.random() < 0.2
        return {
            "id": self._made,
            "is_async": is_async,
            "steps": [self._step(depth - 1, is_async) for _ in range(count)],
            "fails": draw.choice((0, 0, 0, 1, 2)),
            # After a kill, a try that repeats a failure from below leaves all retries: the number of the last try differs.
            "retries": 0 if passes else draw.choice((0, 1, 1)),
            "passes": passes,
            "keeps": draw.choice((0, 0, 3)),
            "pause_s": draw.choice((0, 0, 0.001)),
        }

    def _step(self, depth: int, is_async: bool) -> dict[str, Any]:
        draw = self._random
        how = draw.choice(
            ("call", "submit", "map", "hasty") + (("gather", "gather", "aio") if is_async else ("submit",))
        )
        below = is_async and how != "aio"
        count = {"call": 1, "map": 1}.get(how) or draw.randint(2, 4)
        step = {"how": how, "nodes": [self._node(draw.randint(0, max(depth, 0)), below) for _ in range(count)]}
        if how == "hasty":
            # One alone fails, so that the error does not depend on the order.
            for node in step["nodes"]:
                node.update(fails=0, passes=False)
            step["nodes"][0].update(fails=9)
        if how == "map":
            step.update(
                items=draw.randint(0, 5),
                concurrency=draw.randint(1, 4),
                keyed=draw.random() < 0.4,
                iterator=draw.random() < 0.4,
            )
        return step


class Player:
    """Plays a flow in one attempt, and notes which calls begin and which have returned."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._tries: dict[str, int] = {}

    def flow(self, root: Node) -> Any:
        """The flow of a tree."""
        if root["is_async"]:

            async def whole() -> Any:
                return await self._body_async(root)
        else:

            def whole() -> Any:
                return self._body(root)

        return towpath.flow(name="random")(whole)

    def _task(self, node: Node, **more: Any) -> Any:
        options = {"name": f"t{node['id']}", "version": "1", "retries": node["retries"], "retry_delay": 0, **more}
        if node["is_async"]:

            async def run(_item: Any) -> Any:
                return await self._body_async(node)
        else:

            def run(_item: Any) -> Any:
                return self._body(node)

        return towpath.task(**options)(run)

    def _begin(self, node: Node) -> int:
        path = _path()
        self._note(f"begin {path}")
        self._tries[path] = self._tries.get(path, 0) + 1
        for done in range(towpath.kept("done", 0), node["keeps"]):
            towpath.keep("done", done + 1)
        return self._tries[path]

    def _end(self, node: Node, tries: int, below: list[Any]) -> Any:
        if node["passes"]:
            for one in below:
                if isinstance(one, Exception):
                    raise one
        if tries <= node["fails"]:
            raise ScriptError(f"{_path()} try {tries}")
        return [_path(), [self._told(one) for one in below]]

    def _told(self, one: Any) -> Any:
        """The value of a call, or what its error says."""
        return ["failed", str(one)] if isinstance(one, Exception) else one

    def _returned(self, one: Any) -> None:
        """Its caller has the end of a call: it may not begin again."""
        scope = current.get()
        if isinstance(one, Exception) and scope is not None and scope.cancel.reason is not None:
            # The caller's try has failed meanwhile. A failure of a call that is being stopped is not final.
            return
        path = str(one).split(" try ")[0] if isinstance(one, Exception) else one[0]
        self._note(f"end {path}")

    def _body(self, node: Node) -> Any:
        tries = self._begin(node)
        time.sleep(node["pause_s"])
        below: list[Any] = []
        for step in node["steps"]:
            below += self._step(step)
        return self._end(node, tries, below)

    def _step(self, step: Mapping[str, Any]) -> list[Any]:
        nodes = step["nodes"]
        if step["how"] == "call":
            return [self._caught(lambda: self._task(nodes[0])(0))]
        if step["how"] == "map":
            return self._outcomes(self._map(step).settled())
        futures = [self._task(node).submit(0) for node in nodes]
        if step["how"] == "hasty":
            return [self._caught(futures[0].result)]
        return [self._caught(one.result) for one in futures]

    def _caught(self, call: Callable[[], Any]) -> Any:
        try:
            found = call()
        except Exception as error:
            found = error
        self._returned(found)
        return found

    def _map(self, step: Mapping[str, Any]) -> Any:
        more: dict[str, Any] = {"concurrency": step["concurrency"]}
        if step["keyed"]:
            more["map_key"] = lambda item: f"key {item % 3}"
        items = range(step["items"])
        return self._task(step["nodes"][0], **more).map(iter(items) if step["iterator"] else items)

    def _outcomes(self, outcomes: Any) -> list[Any]:
        found = [one.value if one.error is None else one.error for one in outcomes]
        for one in found:
            self._returned(one)
        return found

    async def _body_async(self, node: Node) -> Any:
        tries = self._begin(node)
        await asyncio.sleep(node["pause_s"])
        below: list[Any] = []
        for step in node["steps"]:
            below += await self._step_async(step)
        return self._end(node, tries, below)

    async def _step_async(self, step: Mapping[str, Any]) -> list[Any]:
        how, tasks = step["how"], [self._task(node) for node in step["nodes"] if step["how"] != "map"]
        if how == "map":
            return self._outcomes(await self._map(step).settled())
        if how == "call":
            return [await self._awaited(tasks[0](0))]
        if how == "submit":
            return [await self._awaited(one) for one in [one.submit(0) for one in tasks]]
        if how == "hasty":
            try:
                await asyncio.gather(*[self._raising(one(0)) for one in tasks])
            except Exception as error:
                return [error]
        calls = [one.aio(0) if how == "aio" else one(0) for one in tasks]
        return await asyncio.gather(*[self._awaited(one) for one in calls])

    async def _awaited(self, call: Any) -> Any:
        try:
            found = await call
        except Exception as error:
            found = error
        self._returned(found)
        return found

    async def _raising(self, call: Any) -> None:
        found = await self._awaited(call)
        if isinstance(found, Exception):
            raise found


def _path() -> str:
    scope = current.get()
    return "" if scope is None else scope.path


class Death:
    """Kills this process some moments after it has begun: at once, or a little later and so anywhere."""

    def __init__(self, moment: int, delay_s: float) -> None:
        self.moments = 0
        self._moment = moment
        self._delay_s = delay_s
        self._lock = threading.Lock()

    def pass_moment(self) -> None:
        """Counts what happens, in any thread."""
        with self._lock:
            self.moments += 1
            if self.moments != self._moment:
                return
        if self._delay_s == 0:
            _kill()
        threading.Thread(target=self._later, daemon=True).start()

    def _later(self) -> None:
        time.sleep(self._delay_s)
        _kill()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class FileRecords:
    """Records in a file. One that nobody waits for is written with the next one that somebody waits for."""

    def __init__(self, fd: int, death: Death) -> None:
        self._fd = fd
        self._death = death
        self._kept: list[str] = []
        self._lock = threading.Lock()
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def post(self, record: Mapping[str, Any]) -> None:
        self._death.pass_moment()
        with self._lock:
            self._kept.append(json.dumps(record) + "\n")

    def post_held(self, record: Mapping[str, Any]) -> None:
        self.post(record)
        with self._lock:
            os.write(self._fd, "".join(self._kept).encode())
            self._kept.clear()
        self._death.pass_moment()

    post_stored = post_held

    def when_held(self, record: Mapping[str, Any], then: Callable[[BaseException | None], None]) -> None:
        def work() -> None:
            self.post_held(record)
            then(None)

        self._asked.put(work)

    def _serve(self) -> None:
        while True:
            self._asked.get()()


class NoWaits:
    """The flows wait for nothing."""

    suspends = False

    def ask(self, path: str, wait: Mapping[str, Any]) -> Mapping[str, Any]:
        raise RuntimeError("The flow waits.")

    def listen(self, listener: Callable[[list[str]], None]) -> None:
        """Nobody answers."""


def _never(*_: Any) -> Any:
    raise RuntimeError("The flow calls nothing else.")


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _drop_torn_tail(path: str) -> None:
    """Cuts off the line that a kill has interrupted, as a worker does with its journal. A killed process can write only a part."""
    try:
        with open(path, "r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
    except FileNotFoundError:
        pass


def _host(folder: str, attempt: int, records: FileRecords) -> Host:
    earlier = tuple(checkpoints_of([json.loads(line) for line in _lines(f"{folder}/records")]))
    return Host(
        facts=Facts(_ID, _ID, attempt, _ID, "random", 1, "2026-01-01T00:00:00.000Z"),
        parameters={},
        records=records,
        store=FileStore(f"file://{folder}/store"),
        resume=Resume(
            origin=_ID, earlier=lambda _after: {"items": earlier, "next": None}, keeps=True, knows_earlier=True
        ),
        clock=SYSTEM_CLOCK,
        random=lambda: 0.5,
        secret=str,
        call=_never,
        waits=NoWaits(),
        cancel=Cancel(),
        end_process=_never,
    )


def _attempt(folder: str, seed: int, attempt: int, death: Death) -> None:
    """One attempt, in this process."""
    for name in ("notes", "records"):
        _drop_torn_tail(f"{folder}/{name}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    notes = os.open(f"{folder}/notes", flags, 0o600)

    def note(text: str) -> None:
        os.write(notes, f"{attempt} {text}\n".encode())
        death.pass_moment()

    records = FileRecords(os.open(f"{folder}/records", flags, 0o600), death)
    end = run_flow(Player(note).flow(Maker(seed).flow()), _host(folder, attempt, records))
    # From here on it lives: the outcome is known.
    told = {"outcome": end.outcome, "value": end.value, "error": repr(end.error), "moments": death.moments}
    with open(f"{folder}/end", "w", encoding="utf-8") as file:
        json.dump(told, file)


def _in_fork(work: Callable[[], None]) -> bool:
    """Runs a function in a fork. @returns Whether it has ended: False if it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    until = time.monotonic() + _ATTEMPT_S_MAX
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid != 0:
            break
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise RuntimeError(f"An attempt has not ended after {_ATTEMPT_S_MAX} s.")
        time.sleep(0.001)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if status != 0:
        raise RuntimeError("An attempt has broken off.")
    return True


def _played(folder: str, seed: int, deaths: list[tuple[int, float]]) -> dict[str, Any]:
    """Plays attempts until one ends."""
    for attempt in range(1, len(deaths) + 2):
        death = Death(*(deaths[attempt - 1] if attempt <= len(deaths) else (0, 0.0)))

        def work(attempt: int = attempt, death: Death = death) -> None:
            _attempt(folder, seed, attempt, death)

        if _in_fork(work):
            break
    told: dict[str, Any] = json.loads("".join(_lines(f"{folder}/end")))
    return told


def _ran_again(folder: str) -> list[str]:
    """The calls that began although their callers had their ends before."""
    ended: set[str] = set()
    again: list[str] = []
    before: set[str] = set()
    attempt = ""
    for line in _lines(f"{folder}/notes"):
        own, what, path = line.split(" ", 2)
        if own != attempt:
            attempt, before = own, set(ended)
        if what == "end":
            ended.add(path)
        elif path in before:
            again.append(path)
    return again


def _is_matter_of_time(*values: object) -> bool:
    """Whether a call without an identity was refused: calls of a failed try may still run when the next try makes it, or not."""
    return any("while other calls were running" in str(value) for value in values)


def fault_of(seed: int) -> str | None:
    """What is wrong with the flow of a seed; None if nothing is."""
    folders = [tempfile.mkdtemp(prefix="towpath-property-") for _ in range(2)]
    try:
        whole = _played(folders[0], seed, [])
        if whole["outcome"] != "completed":
            return f"it is {whole['outcome']} by {whole['error']}, and nothing killed it"
        draw = random.Random(seed)
        deaths = [
            (draw.randint(1, whole["moments"]), draw.choice((0.0, draw.random() * _SOON_S)))
            for _ in range(draw.randint(1, _KILLS_MAX))
        ]
        killed = _played(folders[1], seed, deaths)
        again = _ran_again(folders[1])
        if again:
            return f"killed at {deaths}, calls that had ended began again: {again}"
        if killed["value"] != whole["value"] and not _is_matter_of_time(whole["value"], killed["value"]):
            return f"killed at {deaths}, it returned {killed['value']} ({killed['error']}) instead of {whole['value']}"
        return None
    except RuntimeError as error:
        return str(error)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def main(first: int, count: int) -> int:
    """Plays so many flows. @returns the number of faults"""
    faults = 0
    for seed in range(first, first + count):
        fault = fault_of(seed)
        if fault is not None:
            faults += 1
            print(f"python -m tests.property_flow {seed} 1: {fault}", flush=True)
    print(f"{count} flows from seed {first}, {faults} faults", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(1 if main(int(sys.argv[1]), int(sys.argv[2])) else 0)
