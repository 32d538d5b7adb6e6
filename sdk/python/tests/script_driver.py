"""Plays flows that are written as data, so that the records of this engine can be compared with another one's.

Reads plays from a file of JSON, and prints what their attempts recorded.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import towpath
from towpath._internal.clock import datetime_of
from towpath._internal.engine.cancel import Cancel
from towpath._internal.engine.host import Facts, Host, Resume
from towpath._internal.engine.run_flow import RunEnd, run_flow
from towpath._internal.engine.scope import current
from towpath._internal.jobs.own import OwnJobs
from towpath._internal.store.memory_store import MemoryStore
from towpath._internal.testing.children import TestChildren
from towpath._internal.testing.jobs import TestJobs
from towpath._internal.testing.life import Life, MortalRecords, MortalStore
from towpath._internal.testing.told import checkpoints_of
from towpath._internal.testing.waits import TestWaits

ATTEMPTS_MAX = 40
_ATTEMPT_S_MAX = 60
_ORIGIN = "01900000-0000-7000-8000-000000000001"
_NOW_MS = datetime_of("2026-03-01T12:00:00.000Z").timestamp() * 1000
_STACK_BYTES = 512 * 1024
"""A killed attempt leaves its threads for ever."""
_OWN_FIELDS = {"at", "calledAt", "hashMs", "saveMs", "loadMs", "dataMs", "savedBytes", "loadedBytes"}
"""Fields of records that depend on the clock or the language."""

Variables = dict[str, Any]
Step = Mapping[str, Any]


class ScriptError(Exception):
    """An error of a script."""


class _RecordLife(Life):
    """Dies after a number of records."""

    def __init__(self, records: int) -> None:
        super().__init__(None)
        self._left = records

    def note_held(self, record: Mapping[str, Any]) -> None:
        if record["type"] == "log":
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self.end()


class _Clock:
    def __init__(self) -> None:
        self._now_ms = _NOW_MS

    def now_ms(self) -> float:
        return self._now_ms

    def monotonic_ms(self) -> float:
        return self._now_ms

    def pause(self, ms: float, cancel: Cancel) -> None:
        cancel.raise_if_asked()
        self._now_ms += ms


def _filled(told: Any, variables: Variables) -> Any:
    if isinstance(told, list):
        return [_filled(one, variables) for one in told]
    if not isinstance(told, dict):
        return told
    if list(told) == ["$"]:
        return variables.get(told["$"])
    return {key: _filled(one, variables) for key, one in told.items()}


def _keyed(step: Step) -> dict[str, Any]:
    return {"key": step["key"]} if "key" in step else {}


class _Sync:
    """Calls of a flow that is a plain `def`. Its branches are submitted calls."""

    is_async = False

    def task(self, options: dict[str, Any], body: Callable[..., Any]) -> Any:
        def run(*args: Any) -> Any:
            return _now(body(*args))

        return towpath.task(**options)(run)

    def flow(self, name: str, body: Callable[[Variables], Any]) -> Any:
        def run(given: Any) -> Any:
            return _now(body({"given": given}))

        return towpath.flow(name=name)(run)

    async def value(self, made: Any) -> Any:
        return made

    async def results(self, running: Any) -> Any:
        return running.results()

    async def settled(self, running: Any) -> Any:
        return running.settled()

    async def parallel(self, player: _Player, branches: list[list[Step]], own: list[Variables]) -> list[Any]:
        futures: list[Any] = []
        for [step], variables in zip(branches, own, strict=True):
            task = player.task(step["task"], step.get("options", {}))
            try:
                futures.append(task.submit(*_filled(step.get("args", []), variables)))
            except towpath.TowpathError as error:
                futures.append(error)
        return [_end_of(*one) for one in zip(branches, own, futures, strict=True)]


def _end_of(branch: list[Step], variables: Variables, future: Any) -> Exception | None:
    if isinstance(future, Exception):
        return future
    try:
        value = future.result()
    except Exception as error:
        return error
    if "as" in branch[0]:
        variables[branch[0]["as"]] = value
    return None


class _Async:
    """Calls of a flow that is an `async def`."""

    is_async = True

    def task(self, options: dict[str, Any], body: Callable[..., Any]) -> Any:
        async def run(*args: Any) -> Any:
            return await body(*args)

        return towpath.task(**options)(run)

    def flow(self, name: str, body: Callable[[Variables], Any]) -> Any:
        async def run(given: Any) -> Any:
            return await body({"given": given})

        return towpath.flow(name=name)(run)

    async def value(self, made: Any) -> Any:
        return await made

    async def results(self, running: Any) -> Any:
        return await running

    async def settled(self, running: Any) -> Any:
        return await running.settled()

    async def parallel(self, player: _Player, branches: list[list[Step]], own: list[Variables]) -> list[Any]:
        plays = [player.play(steps, variables) for steps, variables in zip(branches, own, strict=True)]
        ends = await asyncio.gather(*plays, return_exceptions=True)
        return [end if isinstance(end, BaseException) else None for end in ends]


def _now(coroutine: Any) -> Any:
    """The result of a coroutine that never waits for the event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("The coroutine has waited.")


class _Player:
    """Plays the steps of one script in one attempt."""

    def __init__(self, script: Mapping[str, Any], calls: Any) -> None:
        self._script = script
        self._calls = calls
        self._tries: dict[str, int] = {}

    async def play(self, steps: list[Step], variables: Variables) -> Any:
        """Returns the value of a `return` among the steps."""
        for step in steps:
            if step["do"] == "return":
                return _filled(step["value"], variables)
            value = await getattr(self, f"_{step['do']}")(step, variables)
            if "as" in step:
                variables[step["as"]] = value
        return None

    def task(self, name: str, overrides: Mapping[str, Any]) -> Any:
        made = self._script["tasks"][name]

        async def body(*args: Any) -> Any:
            path = _path()
            self._tries[path] = self._tries.get(path, 0) + 1
            return await self.play(made["steps"], {str(index): one for index, one in enumerate(args)})

        options = {"name": name, "retry_delay": 0, "version": "1", **made.get("options", {}), **overrides}
        return self._calls.task(options, body)

    async def _call(self, step: Step, variables: Variables) -> Any:
        task = self.task(step["task"], step.get("options", {}))
        return await self._calls.value(task(*_filled(step.get("args", []), variables)))

    async def _map(self, step: Step, variables: Variables) -> Any:
        overrides: dict[str, Any] = {"concurrency": step.get("concurrency", 1)}
        if step.get("keyed"):
            overrides["map_key"] = str
        running = self.task(step["task"], overrides).map(
            _filled(step["items"], variables), *_filled(step.get("more", []), variables)
        )
        if not step.get("settled"):
            return await self._calls.results(running)
        return [one.value if one.error is None else _text_of(one.error) for one in await self._calls.settled(running)]

    async def _parallel(self, step: Step, variables: Variables) -> None:
        own = [dict(variables) for _ in step["branches"]]
        ends = await self._calls.parallel(self, step["branches"], own)
        for one in own:
            variables.update(one)
        for end in ends:
            if end is not None:
                raise end

    async def _catch(self, step: Step, variables: Variables) -> str | None:
        try:
            await self.play(step["steps"], variables)
            return None
        except Exception as error:
            return _text_of(error)

    async def _loop(self, step: Step, variables: Variables) -> None:
        for index in range(step["times"]):
            variables["i"] = index
            await self.play(step["steps"], variables)

    async def _flow(self, step: Step, variables: Variables) -> Any:
        async def body(own: Variables) -> Any:
            return await self.play(step["steps"], own)

        given = _filled(step.get("parameters", {}), variables)
        return await self._calls.value(self._calls.flow(step["name"], body)(**given))

    async def _keep(self, step: Step, variables: Variables) -> None:
        towpath.keep(step["name"], _filled(step["value"], variables))

    async def _kept(self, step: Step, variables: Variables) -> Any:
        return towpath.kept(step["name"], _filled(step["default"], variables))

    async def _save(self, step: Step, variables: Variables) -> Any:
        return towpath.save(step["name"], _filled(step["value"], variables))

    async def _load(self, step: Step, variables: Variables) -> Any:
        return towpath.load(_filled(step["ref"], variables))

    async def _raise(self, step: Step, _variables: Variables) -> None:
        if self._tries.get(_path(), 1) <= step.get("tries", 1000):
            raise (towpath.NonRetryable if step.get("final") else ScriptError)(step["message"])

    async def _artifact(self, step: Step, _variables: Variables) -> None:
        towpath.artifact.markdown(step["key"], step["text"])

    async def _now(self, step: Step, _variables: Variables) -> int:
        return round(towpath.now(**_keyed(step)).timestamp() * 1000)

    async def _random(self, step: Step, _variables: Variables) -> float:
        return towpath.random(**_keyed(step))

    async def _uuid(self, step: Step, _variables: Variables) -> str:
        return str(towpath.uuid(**_keyed(step)))

    async def _sleep(self, step: Step, _variables: Variables) -> None:
        await self._waited(towpath.suspend.sleep(step["ms"] / 1000, **_keyed(step)))

    async def _input(self, step: Step, _variables: Variables) -> Any:
        return await self._waited(towpath.suspend.input(step["title"], Any, id=step.get("id")))

    async def _event(self, step: Step, _variables: Variables) -> Any:
        return await self._waited(towpath.suspend.event(step["name"], **_keyed(step)))

    async def _start(self, step: Step, variables: Variables) -> str:
        return towpath.start_run(step["deployment"], _filled(step.get("parameters", {}), variables), **_keyed(step))

    async def _child(self, step: Step, variables: Variables) -> Any:
        given = _filled(step.get("parameters", {}), variables)
        return await self._waited(towpath.run_child(step["deployment"], given, **_keyed(step)))

    async def _waited(self, waiting: Any) -> Any:
        return await waiting if self._calls.is_async else waiting


def _text_of(error: BaseException) -> str:
    """What an error says. Messages of the engine are sentences, and differ between languages."""
    text = str(error)
    return "an error of the engine" if text.endswith(".") else text


def _path() -> str:
    scope = current.get()
    return "" if scope is None else scope.path


class _Ground:
    """What the attempts of one run share."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.asked: dict[str, tuple[float, int]] = {}
        self.clock = _Clock()
        self.held: list[Mapping[str, Any]] = []
        self.answers: dict[str, Any] = {}


def _answer(_path: str, call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The control plane's answer. The id of a run says what it is."""
    if call["kind"] == "start-run":
        return {"runId": call["deployment"], "state": "running", "cause": None, "result": None}
    return {"granted": [one["key"] for one in call.get("requests", ())]}


def _host_of(ground: _Ground, attempt: int, records: list[Mapping[str, Any]], life: Life, over: Any) -> Host:
    items = tuple(ground.held)
    facts = Facts(_ORIGIN, _ORIGIN, attempt, _ORIGIN, "script", 1, "2026-01-01T00:00:00.000Z")
    return Host(
        facts=facts,
        parameters={},
        records=MortalRecords(records, life),
        store=MortalStore(ground.store, life),
        resume=Resume(
            origin=_ORIGIN, earlier=lambda _after: {"items": items, "next": None}, keeps=True, knows_earlier=True
        ),
        clock=ground.clock,
        random=lambda: 0.5,
        secret=str,
        call=lambda path, call: life.use(lambda: _answer(path, call)),
        waits=TestWaits(
            dict(ground.answers),
            clock=ground.clock,
            attempt=attempt,
            asked=ground.asked,
            life=life,
            children=TestChildren({}),
            jobs=TestJobs(OwnJobs(), facts, ground.store, ground.clock),
        ),
        cancel=Cancel(),
        end_process=over,
    )


def _attempt_of(play: Mapping[str, Any], ground: _Ground, attempt: int) -> tuple[str, list[Mapping[str, Any]]]:
    deaths = play["deaths"]
    life = _RecordLife(deaths[attempt - 1] if attempt <= len(deaths) else 0)
    records: list[Mapping[str, Any]] = []
    player = _Player(play["script"], _Async() if play["isAsync"] else _Sync())

    def script() -> Any:
        return _now(player.play(play["script"]["flow"], {}))

    async def script_async() -> Any:
        return await player.play(play["script"]["flow"], {})

    flow = towpath.flow(name="script")(script_async if play["isAsync"] else script)
    ends: list[RunEnd] = []

    def suspended() -> None:
        ends.append(RunEnd("suspended"))
        life.end()

    host = _host_of(ground, attempt, records, life, suspended)

    def work() -> None:
        try:
            ends.append(run_flow(flow, host))
        except BaseException as error:
            # A fault of the engine or of this driver. Nobody else would notice it.
            ends.append(RunEnd(f"broken by {error!r}"))
        life.ended.set()

    threading.Thread(target=work, daemon=True).start()
    if not life.ended.wait(_ATTEMPT_S_MAX):
        raise RuntimeError(f"An attempt does not end: {play['script']['title']}, killed after {deaths} records.")
    return (ends[0].outcome if ends else "killed"), list(records)


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    told = {field: value for field, value in record.items() if field not in _OWN_FIELDS}
    if "result" in told:
        told["result"] = {field: told["result"][field] for field in ("codec", "sizeBytes", "sha256")}
    if "error" in told:
        told["error"] = _told_error(told["error"])
    return told


def _told_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """Without the stack. The engine's own messages name functions of its language."""
    fields = ("name", "message") if error["name"] in ("ScriptError", "NonRetryable") else ("name",)
    return {field: error[field] for field in fields}


def played(play: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Plays a script until it ends."""
    answers, resumes = play["script"].get("answers", []), play["script"].get("resumes", 0)
    ground = _Ground()
    told: list[dict[str, Any]] = []
    failures, suspensions, waits = 0, 0, None
    for attempt in range(1, ATTEMPTS_MAX + 1):
        outcome, records = _attempt_of(play, ground, attempt)
        told.append({"outcome": outcome, "records": [_told(one) for one in records if one["type"] != "log"]})
        ground.held.extend(checkpoints_of(records))
        failures += outcome == "failed"
        if outcome == "completed" or failures > resumes:
            return told
        if outcome != "suspended":
            continue
        more = answers[suspensions] if suspensions < len(answers) else None
        suspensions += 1
        # Nobody answers these waits.
        if more is None and records[-1]["waits"] == waits:
            return told
        waits = records[-1]["waits"]
        ground.answers.update(more or {})
    return told


def main(path: str) -> None:
    """Prints a line of JSON for each play."""
    threading.stack_size(_STACK_BYTES)
    with open(path, encoding="utf-8") as file:
        plays = json.load(file)
    for play in plays:
        print(json.dumps(played(play)), flush=True)


if __name__ == "__main__":
    code = 1
    try:
        main(sys.argv[1])
        code = 0
    except Exception as error:
        print(error, file=sys.stderr)
    sys.stderr.flush()
    # Threads of killed attempts never end.
    os._exit(code)
