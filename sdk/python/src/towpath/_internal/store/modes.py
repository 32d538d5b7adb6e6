"""The permissions of what a store in a folder makes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple


class Modes(NamedTuple):
    """The permissions of files and folders."""

    file: int
    folder: int


_OWNER_ONLY = Modes(0o600, 0o700)
_GROUP_READS = Modes(0o640, 0o2750)
_GROUP_WRITES = Modes(0o640, 0o2770)


class StoreModes:
    """The permissions in a store's folder.

    A worker whose attempts have users of their own sets the bit "set group id" of the folder: then the folder's group shares
    the store. Every attempt reads the values of the others, and may replace cached results.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._shared: bool | None = None

    @property
    def of_run(self) -> Modes:
        """The values of an attempt."""
        return _GROUP_READS if self._is_shared() else _OWNER_ONLY

    @property
    def of_cache(self) -> Modes:
        """Results that other attempts may replace."""
        return _GROUP_WRITES if self._is_shared() else _OWNER_ONLY

    def _is_shared(self) -> bool:
        if self._shared is None:
            try:
                self._shared = bool(os.stat(self._root).st_mode & stat.S_ISGID)
            except OSError:
                # It is not there yet, so no worker has prepared it.
                return False
        return self._shared


def make_folders(path: Path, modes: Modes) -> None:
    """Makes a folder and those above it, as far as they are missing."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for one in reversed(missing):
        try:
            one.mkdir(mode=modes.folder)
        except FileExistsError:
            # Another process was faster, and sets its permissions.
            continue
        if modes is not _OWNER_ONLY:
            # The process's mask has removed the group's right to write.
            one.chmod(modes.folder)
