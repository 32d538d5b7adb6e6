"""Maps many calls through a host that keeps nothing, and prints the highest memory of its process:
`python -m tests.many FORM COUNT`. Forms are `iterated`, `keyed` and `whole`, for async code `async-iterated` and so on.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from towpath import flow, task
from towpath._internal.clock import SYSTEM_CLOCK
from towpath._internal.engine.cancel import Cancel
from towpath._internal.engine.host import Facts, Host, Resume
from towpath._internal.engine.run_flow import run_flow
from towpath._internal.store.codec import Encoded, Ref
from towpath._internal.store.memory_store import MemoryStore
from towpath._internal.store.places import Place

_ID = "01900000-0000-7000-8000-000000000001"


class _Nowhere:
    """Takes records, and forgets them."""

    def post(self, record: Mapping[str, Any]) -> None:
        json.dumps(record)

    post_held = post_stored = post

    def when_held(self, record: Mapping[str, Any], then: Callable[[BaseException | None], None]) -> None:
        self.post(record)
        then(None)


class _Forgetful(MemoryStore):
    """Saves values, and forgets them."""

    def save(self, place: Place, encoded: Encoded) -> Ref:
        return MemoryStore().save(place, encoded)


def _never(*_: Any) -> Any:
    raise RuntimeError("The flow calls nothing else.")


class _NoWaits:
    suspends = False
    ask = _never

    def listen(self, listener: Callable[[list[str]], None]) -> None:
        """Nobody answers."""


@task(concurrency=100, timeout="60s")
def double(value: int) -> int:
    return value * 2


@task(concurrency=100, timeout="60s")
async def double_async(value: int) -> int:
    return value * 2


def _key(value: int) -> str:
    return f"item {value}"


def _numbers(count: int) -> Iterator[int]:
    yield from range(count)


def _objects() -> int:
    """What the garbage collector sees while the run is still under way."""
    gc.collect()
    return len(gc.get_objects())


@flow
def many(form: str, count: int) -> tuple[int, int]:
    if form == "whole":
        return sum(double.map(list(range(count))).results()), _objects()
    mapped = double if form == "iterated" else double.with_options(map_key=_key)
    return sum(mapped.map(_numbers(count))), _objects()


@flow
async def many_async(form: str, count: int) -> tuple[int, int]:
    if form == "whole":
        return sum(await double_async.map(list(range(count)))), _objects()
    mapped = double_async if form == "iterated" else double_async.with_options(map_key=_key)
    total = 0
    async for one in mapped.map(_numbers(count)):
        total += one
    return total, _objects()


def _peak_bytes() -> int:
    """The highest memory of this process. On Linux, `ru_maxrss` also has that of the process that started it."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    except OSError:
        found = None
    return int(found.group(1)) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(form: str, count: int) -> None:
    kind, _, form = form.rpartition("-")
    host = Host(
        facts=Facts(_ID, _ID, 1, _ID, "many", 1, "2026-01-01T00:00:00.000Z"),
        parameters={"form": form, "count": count},
        records=_Nowhere(),
        store=_Forgetful(),
        resume=Resume(origin=_ID, keeps=True),
        clock=SYSTEM_CLOCK,
        random=lambda: 0.5,
        secret=str,
        call=_never,
        waits=_NoWaits(),
        cancel=Cancel(),
        end_process=_never,
    )
    end = run_flow(many_async if kind == "async" else many, host)
    if end.error is not None:
        raise end.error
    total, objects = end.value
    print(json.dumps({"sum": total, "peakBytes": _peak_bytes(), "objects": objects}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
