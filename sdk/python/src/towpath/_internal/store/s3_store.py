"""A store in a bucket. Small values that are saved at the same time share an object, a pack."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ..problem import StoreFault
from .bucket import Bucket, location_of
from .codec import Encoded, Ref, decode
from .named import ENTRY_BYTES_MAX, NamedValue, entry_of, entry_path, read_entry, value_path
from .packs import PACK_BYTES_MAX, PACKED_BYTES_MAX, PackReads, part_of
from .places import Place
from .written import PLAIN, Writing


class _Waiting:
    """A small value whose thread waits until it is stored."""

    def __init__(self, place: Place, encoded: Encoded) -> None:
        self.place = place
        self.encoded = encoded
        self.uri: str | None = None
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.uri is not None or self.error is not None


class S3Store:
    """Saves and loads values below a prefix of a bucket. Only refs leave it. Safe for several threads."""

    def __init__(self, root: str, access: Mapping[str, Any], writing: Writing = PLAIN) -> None:
        """@param root `s3://bucket/prefix`. @param access Of the run's context."""
        self._writing = writing
        self.hashes = writing.hashes
        name, prefix = location_of(root)
        self._bucket = Bucket(name, access)
        self._inside = "" if prefix == "" else f"{prefix}/"
        self._start = f"s3://{name}/{self._inside}"
        self._packs = PackReads(self._read_object)
        self._waiting: list[_Waiting] = []
        self._is_writing = False
        self._changed = threading.Condition(threading.Lock())

    def save(self, place: Place, encoded: Encoded) -> Ref:
        """Stores a value. It survives this process and machine when this returns. @raises StoreFault"""
        encoded = self._writing.written(encoded)
        if len(encoded.data) > PACKED_BYTES_MAX:
            uri = self._write(place.path_of(encoded), encoded.data)
        else:
            uri = self._save_small(_Waiting(place, encoded))
        return {"uri": uri, "codec": encoded.codec, "sizeBytes": len(encoded.data), "sha256": encoded.sha256}

    def sync(self) -> None:
        """Values in a bucket are safe once they are saved."""

    def load(self, ref: Ref) -> Any:
        """Loads a value and checks that it is byte for byte the saved one. @raises StoreFault otherwise."""
        return decode(self.read(ref), codec=ref["codec"], uri=ref["uri"])

    def read(self, ref: Ref) -> bytes:
        """The bytes of a value, byte for byte the saved ones. @raises StoreFault otherwise."""
        return self._writing.content(ref, self._read(ref))

    def has(self, ref: Ref) -> bool:
        """Whether this store still has a value of this size. Its bytes are not read. @raises StoreFault if nobody answers"""
        part = part_of(ref["uri"])
        path = self._path_in(ref["uri"] if part is None else part[0])
        size = None if path is None else self._bucket.size_of(path)
        if size is None:
            return False
        return size == ref["sizeBytes"] if part is None else size >= part[1] + ref["sizeBytes"]

    def save_as(self, name: str, encoded: Encoded, *, saved_at: str, run_id: str) -> Ref:
        """Stores a value under a name and replaces the one before. The value first, then the entry with its ref, so that
        a concurrent reader finds one of the two. @raises StoreFault"""
        encoded = self._writing.written(encoded)
        uri = self._write(value_path(name, encoded), encoded.data)
        ref: Ref = {"uri": uri, "codec": encoded.codec, "sizeBytes": len(encoded.data), "sha256": encoded.sha256}
        self._write(entry_path(name), entry_of(NamedValue(ref, saved_at, run_id)))
        return ref

    def find(self, name: str) -> NamedValue | None:
        """The latest value of a name. None if there is none that can be read."""
        try:
            return read_entry(self._read_object(self._start + entry_path(name), ENTRY_BYTES_MAX))
        except StoreFault:
            return None

    def _save_small(self, own: _Waiting) -> str:
        """One thread writes for all that wait, so that many small values are few requests."""
        with self._changed:
            self._waiting.append(own)
            self._changed.wait_for(lambda: own.is_done or not self._is_writing)
            leads = not own.is_done
            self._is_writing = self._is_writing or leads
        while leads and not own.is_done:
            with self._changed:
                together = self._next_pack()
            self._write_pack(together)
            with self._changed:
                self._is_writing = not own.is_done
                self._changed.notify_all()
        if own.error is not None:
            raise own.error
        return str(own.uri)

    def _next_pack(self) -> list[_Waiting]:
        """The next values of one attempt that fit into a pack."""
        folder = self._waiting[0].place.folder
        together: list[_Waiting] = []
        size = 0
        for one in self._waiting:
            size += len(one.encoded.data)
            if size > PACK_BYTES_MAX:
                break
            if one.place.folder == folder:
                together.append(one)
        self._waiting = [one for one in self._waiting if one not in together]
        return together

    def _write_pack(self, together: list[_Waiting]) -> None:
        try:
            if len(together) == 1:
                only = together[0]
                only.uri = self._write(only.place.path_of(only.encoded), only.encoded.data)
                return
            data = b"".join(one.encoded.data for one in together)
            name = self.hashes.name(data)[:32]
            pack = self._write(f"{together[0].place.folder}/packs/{name}.pack", data)
            offset = 0
            for one in together:
                one.uri = f"{pack}#{offset}"
                offset += len(one.encoded.data)
        except BaseException as error:
            for one in together:
                one.error = error

    def _write(self, path: str, data: bytes) -> str:
        self._bucket.put(self._inside + path, data)
        return self._start + path

    def _read(self, ref: Ref) -> bytes:
        part = part_of(ref["uri"])
        if part is None:
            return self._read_object(ref["uri"], ref["sizeBytes"])
        pack, offset = part
        end = offset + ref["sizeBytes"]
        return self._packs.read(pack, end)[offset:end]

    def _read_object(self, uri: str, most_bytes: int) -> bytes:
        path = self._path_in(uri)
        if path is None:
            raise StoreFault(f"{uri} is outside of the store.", next="Only refs of this store can be loaded.")
        return self._bucket.get(path, most_bytes, uri)

    def _path_in(self, uri: str) -> str | None:
        """The path of an object in the bucket. None: it is outside of the store."""
        path = uri[len(self._start) :]
        if not uri.startswith(self._start) or any(part in (".", "..") for part in path.split("/")):
            return None
        return self._inside + path
