"""Tasks for the tests of clusters: a cluster finds them by the name of this module."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path

from towpath import artifact, keep, log, secret


def score(depth: int, factor: int) -> int:
    print("depth", depth)
    logging.getLogger("own").warning("a warning for %d", depth)
    log.info("factor", factor)
    return depth * factor


async def later(depth: int) -> int:
    await asyncio.sleep(0)
    return depth + 1


def fails(marker: str) -> str:
    """Fails the first time."""
    if Path(marker).exists():
        return "done"
    Path(marker).touch()
    print("before the failure")
    raise LookupError("not yet")


def dies(marker: str) -> str:
    """Ends its process each time, until the file is there."""
    if Path(marker).exists():
        return "alive"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def sleeps(started: str) -> None:
    Path(started).touch()
    for _ in range(1200):
        time.sleep(0.05)


def keeps() -> None:
    keep("x", 1)


def asks() -> str:
    return secret("x")


def shows() -> None:
    artifact.markdown("report", "text")
