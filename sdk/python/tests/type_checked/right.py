"""What type checkers make of flows and tasks. mypy and pyright read this file, and nothing runs it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from typing_extensions import assert_type

from towpath import (
    AsyncTask,
    Cache,
    Flow,
    Ref,
    Task,
    artifact,
    exponential,
    flow,
    from_secret,
    get_run,
    keep,
    kept,
    log,
    now,
    random,
    resource,
    run_child,
    run_facts,
    save,
    secret,
    start_run,
    suspend,
    task,
    uuid,
    with_setup,
)
from towpath import load as load_ref
from towpath.config import cron, deployment, every, oci_layout, project
from towpath.test import TestedRun, run_flow


@dataclass
class Row:
    name: str
    size: int


@task
def load(path: str) -> list[Row]:
    return [Row(path, 1)]


@task(retries=3, retry_delay=exponential(first="1s"), timeout="30s", cache=Cache(expires="1h"), tags=["etl"])
def size(row: Row, factor: int = 2) -> int:
    return row.size * factor


@task(timeout=timedelta(seconds=5))
async def fetch(url: str) -> bytes:
    return url.encode()


@task
async def measure(url: str, weight: float) -> float:
    return len(url) * weight


load_as_declared: Task[[str], list[Row]] = load
fetch_as_declared: AsyncTask[[str], bytes] = fetch


@resource
def warehouse() -> Iterator[dict[str, int]]:
    yield {"rows": 1}


@contextmanager
def scratch() -> Iterator[str]:
    yield "/tmp/scratch"


@flow(run_name="sizes {path}", on_failure=lambda error: log.warning(error))
def sizes(path: str, factor: int = 3) -> dict[str, int]:
    rows = assert_type(load(path), list[Row])
    assert_type(load.submit(path).result(), list[Row])
    first = assert_type(size(rows[0], factor=factor), int)
    mapped = size.map(rows, factor)
    assert_type(mapped.results(), list[int])
    for one in size.map(rows):
        assert_type(one, int)
    assert_type(size.with_options(concurrency=4)(rows[0]), int)
    assert_type(warehouse.get(), dict[str, int])
    assert_type(suspend.input("Publish?", bool, deadline="3d"), bool)
    assert_type(suspend.input("How many?", int), int)
    log.info("rows", len(rows))
    artifact.table("rows", [{"name": row.name} for row in rows])
    keep("done", 1)
    kept("done", 0)
    saved = assert_type(save("rows", [1]), Ref)
    assert_type(load_ref(saved, returns=list[int]), list[int])
    assert_type(get_run("id").state, str)
    assert_type(random(), float)
    log.info(now().isoformat(), str(uuid()), secret("KEY"), run_facts().run_id)
    return {"first": first}


@flow
async def fetched(urls: list[str]) -> int:
    whole = 0
    assert_type(await fetch("a"), bytes)
    waiting: Coroutine[Any, Any, bytes] = fetch("a")
    assert_type(await waiting, bytes)
    assert_type(await fetch.submit("a"), bytes)
    assert_type(await fetch.map(urls), list[bytes])
    async for page in fetch.map(urls):
        whole += len(assert_type(page, bytes))
    assert_type(await measure.map(urls, 0.5), list[float])
    assert_type(await load.aio("a"), list[Row])
    return whole


sizes_as_declared: Flow[[str, int], dict[str, int]] = sizes
assert_type(sizes("a"), dict[str, int])


async def first_page() -> bytes:
    return await fetch("a")


async def forget(page: bytes) -> None:
    log.info(len(page))


@flow
async def nested(urls: list[str]) -> int:
    async with with_setup(first_page, forget) as made:
        assert_type(made, bytes)
    return assert_type(await fetched(urls), int)


@flow
def outer(path: str) -> int:
    with with_setup(lambda: "made", lambda made: None) as made:
        assert_type(made, str)
    run_child("sizes", {"path": path})
    start_run("sizes", {"path": path})
    return assert_type(sizes(path), dict[str, int])["first"]


run = run_flow(sizes, {"path": "a"}, answers={"Publish?": True}, kill_after="load")
assert_type(run, TestedRun)
assert_type(run.resume(), TestedRun)

config = project(
    "sizes",
    pool="local",
    registry=oci_layout("registry"),
    deployments=[
        deployment(
            sizes,
            timeout="30m",
            retry={"limit": 2, "delay": "10s"},
            schedules=[{"name": "nightly", "timing": cron("0 3 * * *")}, {"name": "hourly", "timing": every("1h")}],
        ),
        deployment(fetched),
    ],
)
setting = from_secret("KEY")
