"""A store in a local folder. Files are written aside, synced and renamed. Small values share a growing file, a pack."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from ..problem import StoreFault
from .codec import Encoded, Ref, decode
from .modes import Modes, StoreModes, make_folders
from .named import ENTRY_BYTES_MAX, NamedValue, entry_of, entry_path, read_entry, value_path
from .packs import PACK_BYTES_MAX, PACKED_BYTES_MAX, PackReads, part_of
from .places import Place
from .written import PLAIN, Writing


class FileStore:
    """Saves and loads values below one folder. Only refs leave it. Safe for several threads."""

    def __init__(self, root: str, writing: Writing = PLAIN) -> None:
        """@param root A `file:` URL. The folder is made when first needed."""
        self._writing = writing
        self.hashes = writing.hashes
        self._folder = _path_of(root)
        self._modes = StoreModes(self._folder)
        self._packs = _PackFiles(self._folder, self._modes)
        self._reads = PackReads(self._read_file)

    def save(self, place: Place, encoded: Encoded) -> Ref:
        """Stores a value. It survives the end of this process at once, and a crash of the machine after `sync`.

        Raises:
            StoreFault: if it cannot be written.
        """
        encoded = self._writing.written(encoded)
        try:
            # The process that polls jobs may write only below a job's own folder, and only until the result is stored.
            if len(encoded.data) <= PACKED_BYTES_MAX and not place.is_of_job:
                uri = self._packs.append(place.folder, encoded.data)
            else:
                uri = _write_whole(self._folder / place.path_of(encoded), encoded.data, self._modes.of_run)
        except OSError as cause:
            raise StoreFault(
                f"Nothing could be stored in {self._folder}: {cause}",
                next="Check the folder's permissions and free space.",
            ) from cause
        return {"uri": uri, "codec": encoded.codec, "sizeBytes": len(encoded.data), "sha256": encoded.sha256}

    def sync(self) -> None:
        """Returns once all saved values survive a crash of the machine. @raises StoreFault if they may not."""
        try:
            self._packs.sync()
        except OSError as cause:
            raise StoreFault(f"Values in {self._folder} may be lost in a crash of the machine: {cause}") from cause

    def load(self, ref: Ref) -> Any:
        """Loads a value and checks that it is byte for byte the saved one. @raises StoreFault otherwise."""
        return decode(self.read(ref), codec=ref["codec"], uri=ref["uri"])

    def read(self, ref: Ref) -> bytes:
        """The bytes of a value, byte for byte the saved ones. @raises StoreFault otherwise."""
        return self._writing.content(ref, self._read(ref))

    def has(self, ref: Ref) -> bool:
        """Whether this store still has a value of this size. Its bytes are not read."""
        part = part_of(ref["uri"])
        try:
            size = self._inside(ref["uri"] if part is None else part[0]).stat().st_size
        except (OSError, StoreFault):
            return False
        return size == ref["sizeBytes"] if part is None else size >= part[1] + ref["sizeBytes"]

    def save_as(self, name: str, encoded: Encoded, *, saved_at: str, run_id: str) -> Ref:
        """Stores a value under a name and replaces the one before. A concurrent reader finds one of the two.

        Args:
            name: a relative path whose parts are safe as file names.

        Raises:
            StoreFault: if it cannot be written.
        """
        encoded = self._writing.written(encoded)
        try:
            modes = self._modes.of_cache
            uri = _write_whole(self._folder / value_path(name, encoded), encoded.data, modes)
            ref: Ref = {"uri": uri, "codec": encoded.codec, "sizeBytes": len(encoded.data), "sha256": encoded.sha256}
            _write_whole(self._folder / entry_path(name), entry_of(NamedValue(ref, saved_at, run_id)), modes)
        except OSError as cause:
            raise StoreFault(f"Nothing could be stored in {self._folder}: {cause}") from cause
        return ref

    def find(self, name: str) -> NamedValue | None:
        """The latest value of a name. None if there is none that can be read."""
        try:
            return read_entry(self._read_file((self._folder / entry_path(name)).as_uri(), ENTRY_BYTES_MAX))
        except StoreFault:
            return None

    def _read(self, ref: Ref) -> bytes:
        part = part_of(ref["uri"])
        if part is None:
            return self._read_file(ref["uri"], ref["sizeBytes"])
        pack, offset = part
        end = offset + ref["sizeBytes"]
        return self._reads.read(pack, end)[offset:end]

    def _read_file(self, uri: str, most_bytes: int) -> bytes:
        path = self._inside(uri)
        try:
            size = path.stat().st_size
            if size > most_bytes:
                # A larger file is not read, because it could have any size.
                raise StoreFault(f"The value at {uri} is not the saved one: it is {size} bytes long.")
            return path.read_bytes()
        except OSError as cause:
            raise StoreFault(f"There is no value at {uri}.") from cause

    def _inside(self, uri: str) -> Path:
        """Resolves links first, because a link inside the root may lead out of it."""
        try:
            root = self._folder.resolve(strict=True)
            path = _path_of(uri).resolve(strict=True)
        except OSError as cause:
            raise StoreFault(f"There is no value at {uri}.") from cause
        if path != root and root in path.parents:
            return path
        raise StoreFault(f"{uri} is outside of the store.", next="Only refs of this store can be loaded.")


class _Pack:
    def __init__(self, folder: str, path: Path, mode: int) -> None:
        self.folder = folder
        self.uri = path.as_uri()
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
        self.size = 0
        self.synced = 0


class _PackFiles:
    """Packs as growing files: an append is one write, and one sync makes all earlier appends safe."""

    def __init__(self, root: Path, modes: StoreModes) -> None:
        self._root = root
        self._modes = modes
        self._open: _Pack | None = None
        self._lock = threading.Lock()

    def append(self, folder: str, data: bytes) -> str:
        with self._lock:
            pack = self._pack_for(folder, len(data))
            try:
                _write_all(pack.fd, data, pack.size)
            except BaseException:
                # The end of this file is undefined now, so no more values go into it.
                self._leave()
                raise
            offset = pack.size
            pack.size += len(data)
            return f"{pack.uri}#{offset}"

    def sync(self) -> None:
        with self._lock:
            pack = self._open
            if pack is None or pack.synced >= pack.size:
                return
            try:
                _sync_data(pack.fd)
                pack.synced = pack.size
            except OSError:
                # The operating system reports lost data only once.
                self._leave(synced=True)
                raise

    def _pack_for(self, folder: str, more: int) -> _Pack:
        pack = self._open
        if pack is not None and pack.folder == folder and pack.size + more <= PACK_BYTES_MAX:
            return pack
        self._leave()
        path = self._root.joinpath(*folder.split("/"), "packs", f"{uuid4()}.pack")
        modes = self._modes.of_run
        make_folders(path.parent, modes)
        self._open = _Pack(folder, path, modes.file)
        _sync_folder(path.parent)
        return self._open

    def _leave(self, synced: bool = False) -> None:
        pack, self._open = self._open, None
        if pack is None:
            return
        try:
            if not synced and pack.synced < pack.size:
                _sync_data(pack.fd)
        finally:
            os.close(pack.fd)


_sync_data = getattr(os, "fdatasync", os.fsync)


def _write_all(fd: int, data: bytes, at: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], at + done)


def _write_whole(path: Path, data: bytes, modes: Modes) -> str:
    """Writes a file completely and syncs it, or not at all."""
    make_folders(path.parent, modes)
    aside = path.with_name(f"{path.name}.{uuid4()}.tmp")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, modes.file)
    try:
        _write_all(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path.as_uri()


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _path_of(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise StoreFault(f"{uri} is not a file: URL, but this store is a folder.")
    return Path(unquote(parts.path))
