"""Wrong uses, each on a line that ends with who refuses it: both type checkers, or pyright alone."""

from __future__ import annotations

from towpath import flow, suspend, task
from towpath.config import deployment
from towpath.test import run_flow


@task
def load(path: str) -> list[int]:
    return [len(path)]


@task
def scale(value: int, factor: int) -> int:
    return value * factor


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task(retires=3)  # wrong: both
def unsure() -> None: ...


@task(retries="3")  # wrong: both
def often() -> None: ...


@flow(timeout="30m")  # wrong: both
def endless() -> None: ...


load.with_options(concurency=4)  # wrong: both
load.with_options(on_parent_end="leave")  # wrong: both


@flow
def numbers(path: str) -> int:
    load(1)  # wrong: both
    load()  # wrong: both
    load(pth=path)  # wrong: both
    load.submit(1)  # wrong: both
    text: str = load(path)  # wrong: both
    scale.map([1, 2], "three")  # wrong: both
    scale.map(["one"], 3)  # wrong: pyright
    load.submit(path).result().upper()  # wrong: both
    suspend.input("How many?", int).upper()  # wrong: both
    return len(text)


@flow
async def pages(urls: list[str]) -> int:
    page: str = await fetch(urls[0])  # wrong: both
    await fetch(1)  # wrong: both
    for one in fetch.map(urls):  # wrong: both
        print(one)
    return len(page)


numbers(1)  # wrong: both
run_flow(load)  # wrong: both
deployment(numbers, timeot="30m")  # wrong: both
deployment(numbers, retry={"limits": 2})  # wrong: both
