"""A run's connection to its worker."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from ..clock import SYSTEM_CLOCK
from ..engine.cancel import Cancel
from ..engine.due import due_of
from ..engine.host import INLINE_ARTIFACT_BYTES, Facts, Host, Resume, Store
from ..problem import Cancelled, OutsideOfRun, StoreFault
from ..resources.stage import staged_pool
from ..store.file_store import FileStore
from ..store.hashes import hashes_of
from ..store.pickled import pickles_of
from ..store.written import Writing
from ..watchdog.watchdog import Watchdog
from .backoff import Backoff
from .http import Address, Answer, Connection, GatewayAway, exchange
from .sender import Sender

_COMMANDS_WAIT_MS = 25_000
_WAITED_MS = 1000


def address_from_environment() -> Address | None:
    """The worker's gateway, if a worker started this process."""
    socket, token = os.environ.get("TOWPATH_SOCKET"), os.environ.get("TOWPATH_TOKEN_FILE")
    return None if socket is None or token is None else Address(socket, token)


def store_of(told: Mapping[str, Any]) -> Store:
    """The store of the run's values. @raises StoreFault for a kind that this release does not know"""
    root = told["root"]
    writing = Writing(hashes_of(told.get("hashKeys")), told.get("roundSizes", False))
    if root.startswith("file:"):
        return FileStore(root, writing)
    access = told.get("s3")
    if root.startswith("s3:") and access is not None:
        from ..store.s3_store import S3Store

        return S3Store(root, access, writing)
    raise StoreFault(
        f"{root} is not a kind of store that this release supports.",
        next="Give the worker a folder, or a bucket with its access.",
    )


class Session:
    """Requests of one run to its worker. Waits while the worker is away. Safe for several threads."""

    def __init__(self, address: Address, context: Mapping[str, Any] | None = None) -> None:
        """
        Args:
            context: what the worker answers to `GET /context`, if the caller has it already.
        """
        self._address = address
        self._over = threading.Event()
        self._listener: Callable[[list[str]], None] = lambda _: None
        self._told: list[str] = []
        self._poll: Connection | None = None
        self.cancel = Cancel()
        self.context: Mapping[str, Any] = self._ask("GET", "/context") if context is None else context
        self.sender = Sender(address, self.context["acked"], self.cancel.abort)
        self.watchdog = Watchdog(address, self.sender)

    def host(self) -> Host:
        """The environment of the run."""
        context = self.context
        facts = Facts(
            run_id=context["runId"],
            attempt_id=context["attemptId"],
            attempt=context["attempt"],
            workspace_id=context["workspaceId"],
            deployment=context["deployment"],
            version=context["version"],
            scheduled_at=context["scheduledAt"],
            due=due_of(context.get("due")),
            control_plane=context.get("controlPlane", ""),
            # A worker of an earlier release does not send it.
            artifact_bytes=context.get("artifactBytes", INLINE_ARTIFACT_BYTES),
        )
        resume = context["resume"]
        return Host(
            facts=facts,
            parameters=context["parameters"],
            records=self.sender,
            store=store_of(context["store"]),
            resume=Resume(
                origin=resume["origin"],
                code_versions=resume["codeVersions"],
                code=resume["code"],
                earlier=self._page if resume["earlier"] else None,
                keeps=True,
                knows_earlier=True,
            ),
            clock=SYSTEM_CLOCK,
            random=random.random,
            secret=self._secret,
            call=self.call,
            waits=self,
            cancel=self.cancel,
            end_process=self._end_process,
            pool_of=staged_pool,
            watchdog=self.watchdog,
            task=context.get("task"),
            pickles=pickles_of(context["store"].get("pickleKeys")),
        )

    def follow_commands(self) -> None:
        """Follows the desired state in a thread, until the session is closed."""
        threading.Thread(target=self._follow, name="towpath-commands", daemon=True).start()

    def close(self) -> None:
        """Ends the connection. Call it once the outcome is held."""
        self._over.set()
        poll = self._poll
        if poll is not None:
            poll.close()
        self.watchdog.close()
        self.sender.close()

    # What the run asks of its surroundings:

    def call(self, path: str, call: Mapping[str, Any]) -> Mapping[str, Any]:
        """A call to the control plane, idempotent by its path. @raises CallRefused"""
        body = json.dumps({"path": path, "call": call}, separators=(",", ":")).encode("ascii")
        answered: Mapping[str, Any] = self._ask("POST", "/calls", body)
        return answered

    @property
    def suspends(self) -> bool:
        return True

    def ask(self, path: str, wait: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state of a wait. The first call makes it."""
        return self.call(path, {"kind": "wait", "wait": wait})

    def listen(self, listener: Callable[[list[str]], None]) -> None:
        """Calls a function with the paths of waits that are over, those of before too."""
        self._listener = listener
        if self._told:
            listener(self._told)

    def _secret(self, name: str) -> str:
        secrets: Mapping[str, str] = self.context["secrets"]
        if name in secrets:
            return secrets[name]
        raise OutsideOfRun(
            f'Secret "{name}"', next='Name it in the deployment\'s "secrets", and give the worker a provider for it.'
        )

    def _page(self, after: str | None) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self._ask(
            "GET", "/checkpoints" if after is None else f"/checkpoints?after={quote(after, safe='')}"
        )
        return page

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        backoff = Backoff()
        while True:
            answer = self._try(method, path, body)
            if answer is not None and not answer.is_busy:
                if answer.is_ok:
                    return answer.body
                raise answer.call_refusal() if path == "/calls" else answer.refusal(f"{method} {path}")
            if not backoff.pause(self._over) or self.cancel.reason is not None:
                raise self.cancel.reason or Cancelled("the flow has ended")

    def _try(self, method: str, path: str, body: bytes | None) -> Answer | None:
        try:
            connection = Connection(self._address)
            try:
                return exchange(connection, method, path, body)
            finally:
                connection.close()
        except GatewayAway:
            return None

    def _follow(self) -> None:
        revision = 0
        backoff = Backoff()
        while not self._over.is_set():
            began = SYSTEM_CLOCK.monotonic_ms()
            known = self._poll_once(revision)
            waited = SYSTEM_CLOCK.monotonic_ms() - began >= _WAITED_MS
            if known is not None and (known > revision or waited):
                backoff.reset()
            elif not backoff.pause(self._over):
                return
            # A restarted worker counts from the beginning.
            revision = known or 0

    def _poll_once(self, revision: int) -> int | None:
        try:
            self._poll = connection = Connection(self._address)
            try:
                answer = exchange(connection, "GET", f"/commands?revision={revision}&waitMs={_COMMANDS_WAIT_MS}")
            finally:
                connection.close()
        except GatewayAway:
            return None
        if not answer.is_ok or not isinstance(answer.body, Mapping):
            return None
        self._obey(answer.body)
        return int(answer.body["revision"])

    def _obey(self, commands: Mapping[str, Any]) -> None:
        cancel = commands.get("cancel")
        if cancel is not None:
            self.cancel.abort(Cancelled(cancel.get("reason", ""), cancel.get("cause", "user")))
        self._told = list(commands.get("answers") or ())
        if self._told:
            self._listener(self._told)

    def _end_process(self) -> None:
        import sys

        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass
        os._exit(0)
