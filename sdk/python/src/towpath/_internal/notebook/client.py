"""The connection to a Jupyter kernel. Importing this module needs the packages of the extra `notebook`."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipykernel  # noqa: F401  # It runs in the kernel's process. Without it, the error must come here.
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

_STARTUP_S = 60
_SOCKET_FOLDER_CHARS_MAX = 80
"""A path of a Unix socket has at most 103 characters on some systems."""
_FORMATS: Any = nbformat
"""The library has no types."""
_CELL_CHARS_MAX = 2_000_000
_NOTEBOOK_CHARS_MAX = 64_000_000


class _OwnInterpreter(KernelSpecManager):
    """Starts the interpreter of this process, whatever kernels the machine has."""

    def get_kernel_spec(self, kernel_name: str) -> Any:
        argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        # No history: runs must neither read nor write that of a person.
        return KernelSpec(argv=[*argv, "--HistoryManager.enabled=False"], language="python", display_name=kernel_name)


class Client(NotebookClient):
    """Runs cells, and passes on what they print. What a cell has shown is in the notebook, up to a limit."""

    def __init__(self, book: Any, *, folder: Path, print_text: Callable[[str], None]) -> None:
        """@param print_text Called with each piece of text that a cell prints."""
        self.scratch = tempfile.mkdtemp(prefix="towpath-kernel-", dir=_short_folder())
        manager = AsyncKernelManager(
            kernel_spec_manager=_OwnInterpreter(),
            # A socket file that only this user can open. Windows has none.
            transport="ipc" if os.name == "posix" else "tcp",
            connection_file=os.path.join(self.scratch, "kernel.json"),
        )
        if os.name == "posix":
            manager.ip = os.path.join(self.scratch, "socket")
        super().__init__(
            book,
            km=manager,
            kernel_name="python3",
            timeout=None,
            startup_timeout=_STARTUP_S,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
        )
        self.is_cut = False
        self.manager: Any = manager
        self._print = print_text
        self._sizes: dict[int, int] = {}
        self._group: int | None = None

    async def begin(self) -> None:
        """Starts the kernel, and waits until it is ready."""
        # Modules that this process finds, the kernel finds too.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        env = {**os.environ, "PYTHONPATH": path, "IPYTHONDIR": os.path.join(self.scratch, "ipython")}
        await self.async_start_new_kernel(env=env)
        self._group = getattr(self.manager.provisioner, "pgid", None)
        await self.async_start_new_kernel_client()

    async def end(self) -> None:
        """Kills the kernel and its child processes. Safe to call again, and if it never started."""
        if self.kc is not None:
            self.kc.stop_channels()
            self.kc = None
        if self.manager.has_kernel:
            await self.manager.shutdown_kernel(now=True)
        if self._group is not None and self._group != os.getpgrp():
            try:
                os.killpg(self._group, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            self._group = None

    def output(self, outs: list[Any], msg: dict[str, Any], display_id: Any, cell_index: int) -> Any:
        """Called for each output of a cell."""
        content = msg["content"]
        if msg["msg_type"] == "stream":
            self._print(content["text"])
            size = len(content["text"])
        else:
            size = sum(len(str(part)) for part in content.get("data", {}).values())
        self._sizes[cell_index] = self._sizes.get(cell_index, 0) + size
        is_error = msg["msg_type"] == "error"
        if not is_error and (self._sizes[cell_index] > _CELL_CHARS_MAX or self._total() > _NOTEBOOK_CHARS_MAX):
            # The log has all that was printed. A notebook of gigabytes could be neither stored nor opened.
            self.is_cut = True
            return None
        return super().output(outs, msg, display_id, cell_index)

    def _total(self) -> int:
        return sum(min(size, _CELL_CHARS_MAX) for size in self._sizes.values())


def parsed(text: str, injected: str, after: int) -> Any:
    """A notebook without outputs of earlier runs, and with a cell that sets parameters.

    Args:
        injected: the source of that cell. Empty: there is none.
        after: the index of the parameters cell.
    """
    book = _FORMATS.reads(text, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    if injected:
        cell = _FORMATS.v4.new_code_cell(injected, metadata={"tags": ["injected-parameters"]})
        if (book.nbformat, book.nbformat_minor) < (4, 5):
            # Cells have ids since format 4.5.
            cell.pop("id", None)
        book.cells.insert(after + 1, cell)
    return book


def text_of(book: Any) -> str:
    """A notebook as the text of a file."""
    return str(_FORMATS.writes(book))


def _short_folder() -> str | None:
    """A folder for sockets: the usual one, unless its path is too long."""
    usual = tempfile.gettempdir()
    return "/tmp" if os.name == "posix" and len(usual) > _SOCKET_FOLDER_CHARS_MAX - 40 else usual
