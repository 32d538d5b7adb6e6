"""The kernel of one attempt, used from code that blocks."""

from __future__ import annotations

import contextvars
import re
import shutil
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

from ..engine.cancel import Cancel
from ..engine.scope import Scope
from ..logs.capture import Lines
from ..problem import InvalidDefinition, TowpathError
from .read import Cell, Notebook

if TYPE_CHECKING:
    from .client import Client

_INTERRUPT_S = 2.0
"""How long a cell may take to end after its interruption. Then its kernel is killed."""
_KILL_S = 1.5
"""How long to wait for the end of a killed kernel."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"^ *(?:Cell )?In ?\[(\d+)\], line (\d+)", re.MULTILINE)


class CellFailed(TowpathError):
    """A cell of a notebook raised an error. `cell` is its number among the cells that run, `line` the line in it."""

    code = "cell-failed"

    def __init__(self, cell: Cell, line: int | None, what: str) -> None:
        where = "" if line is None else f", line {line}"
        super().__init__(f'Cell {cell.number} "{cell.name}"{where}: {what}')
        self.cell = cell.number
        self.line = line


class KernelDied(TowpathError):
    """The process that runs the cells of a notebook ended."""

    code = "kernel-died"


class InCell(Exception):
    """The traceback of a cell, as the kernel reported it."""


class Kernel:
    """Runs the cells of a notebook in a process of their own. Its client has an event loop in a thread of its own, because
    the flow may have one, and because signals must not interrupt it."""

    def __init__(self, book: Notebook, injected: str) -> None:
        """@raises InvalidDefinition if a package of the extra is missing"""
        try:
            from . import client
        except ImportError as error:
            raise InvalidDefinition(
                f'notebook "{book.path}" needs the package {error.name}, which this Python does not have.',
                next='Install the extra: pip install "towpath[notebook]".',
            ) from error
        import asyncio

        self._client_module = client
        self._name = book.path.name
        self._injected = -1 if book.parameters is None or not injected else book.parameters.index
        self.document = client.parsed(book.text, injected, 0 if book.parameters is None else book.parameters.index)
        self._client: Client = client.Client(self.document, folder=book.path.parent, print_text=self._print)
        self._loop = asyncio.new_event_loop()
        self._lines: Lines | None = None
        self._context: contextvars.Context | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="towpath-kernel", daemon=True)
        self._thread.start()

    @property
    def is_cut(self) -> bool:
        """Whether outputs are missing in the document because they were too large."""
        return self._client.is_cut

    def start(self, cancel: Cancel) -> None:
        """Starts the process. @raises the reason to stop, or KernelDied"""
        try:
            self._until_done(self._client.begin(), cancel)
        except RuntimeError as error:
            raise KernelDied(f"The kernel did not start: {error}") from error

    def run(self, cell: Cell, scope: Scope) -> None:
        """Runs a cell, and the parameters after their cell.

        Raises:
            CellFailed: names the cell and the line.
            KernelDied: the process ended.
            BaseException: the reason to stop. The cell has been interrupted.
        """
        self._lines, self._context = Lines("info", None), contextvars.copy_context()
        try:
            shift = 1 if 0 <= self._injected < cell.index else 0
            self._run_at(cell.index + shift, cell, scope)
            if self._injected == cell.index:
                self._run_at(cell.index + 1, cell, scope)
        finally:
            self._context.run(self._lines.put_rest)
            self._lines = self._context = None

    def text(self) -> str:
        """The notebook with the outputs until now."""
        return self._client_module.text_of(self.document)

    def close(self) -> None:
        """Kills the process and its child processes. Never raises."""
        import asyncio

        ending = asyncio.run_coroutine_threadsafe(self._client.end(), self._loop)
        try:
            ending.result(_KILL_S)
        except Exception:
            # What is left ends with this process: a kernel watches its parent.
            ending.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_KILL_S)
        if not self._thread.is_alive():
            self._loop.close()
        shutil.rmtree(self._client.scratch, ignore_errors=True)

    def _run_at(self, index: int, cell: Cell, scope: Scope) -> None:
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        one = self.document.cells[index]
        try:
            self._until_done(self._client.async_execute_cell(one, index), scope.cancel)
        except CellExecutionError as error:
            trace = _trace_of(one)
            line = _line_in(trace, one.get("execution_count"))
            what = f"{error.ename}: {error.evalue}" if error.evalue else str(error.ename)
            raised = CellFailed(cell, line, what)
            raised.__cause__ = InCell(f"\n{trace}") if trace else None
            _raise_in(cell, line, self._name, raised)
        except DeadKernelError:
            raise KernelDied(
                f'The kernel ended in cell {cell.number} "{cell.name}".',
                next="Look for a lack of memory, a call that ends the process, or a crash in native code.",
            ) from None

    def _until_done(self, work: Coroutine[Any, Any, Any], cancel: Cancel) -> Any:
        """Waits for work in the loop. After a request to stop, interrupts the kernel, and kills it if that is ignored."""
        import asyncio

        over = threading.Event()
        doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        doing.add_done_callback(lambda _: over.set())
        forget = cancel.listen(lambda _: over.set())
        over.wait()
        forget()
        if not doing.done():
            self._interrupt(doing)
            cancel.raise_if_asked()
        return doing.result()

    def _interrupt(self, doing: Any) -> None:
        import asyncio

        ended = threading.Event()
        doing.add_done_callback(lambda _: ended.set())
        asked = asyncio.run_coroutine_threadsafe(self._interrupt_kernel(), self._loop)
        if not ended.wait(_INTERRUPT_S):
            asked.cancel()
            killed = asyncio.run_coroutine_threadsafe(self._client.end(), self._loop)
            killed.add_done_callback(lambda _: ended.set())
            ended.wait(_KILL_S)
            doing.cancel()

    async def _interrupt_kernel(self) -> None:
        if self._client.manager.has_kernel:
            await self._client.manager.interrupt_kernel()

    def _print(self, text: str) -> None:
        # In the loop's thread, while the cell's task runs.
        if self._lines is not None and self._context is not None:
            self._context.run(self._lines.write, text)


def _trace_of(cell: Any) -> str:
    """The kernel's traceback, without colours."""
    lines: list[str] = next((one["traceback"] for one in reversed(cell.outputs) if one["output_type"] == "error"), [])
    return _ANSI.sub("", "\n".join(lines))


def _raise_in(cell: Cell, line: int | None, name: str, error: CellFailed) -> NoReturn:
    """Raises an error with a frame in the cell, which a run's page shows. Its other frames are those of this package."""
    import linecache

    place = f"{name}, cell {cell.number}"
    lines = [f"{one}\n" for one in cell.source.splitlines()]
    # Without a time of change, the entry stays.
    linecache.cache[place] = (len(cell.source), None, lines, place)
    code = compile("\n" * ((line or 1) - 1) + "raise error", place, "exec").replace(co_name=cell.name)
    exec(code, {"error": error})
    raise error


def _line_in(trace: str, execution_count: int | None) -> int | None:
    """The line of the cell in a traceback. Its first frame of the cell is the outermost one."""
    for count, line in _LINE.findall(trace):
        if execution_count is None or int(count) == execution_count:
            return int(line)
    return None
