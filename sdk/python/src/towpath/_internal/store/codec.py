"""Values as bytes. Reading a value runs no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

from ..problem import NotSerialisable, StoreFault
from ..text import is_well_formed
from .libraries import CODECS, read, written, written_dict
from .strict_json import parse_json
from .typed_json import Shaped, from_typed_json, is_exact_json, plain_type, to_typed_json
from .unfit import Unfit

TOO_DEEP = "nested too deeply"
PICKLE = "pickle"
"""The codec of results that only pickle can hold. `decode` never reads it."""
CODEC_ENDINGS = {
    "json": "json",
    "bytes": "bin",
    "text": "txt",
    "typed": "typed",
    PICKLE: PICKLE,
    **{name: name for name in CODECS},
}
"""Endings of file names, so that people can open what they find in a store."""


class Ref(TypedDict):
    """The address of a stored value, with its codec, size in bytes and hash (hexadecimal).

    On a worker, `sha256` is an HMAC of the content and a MAC of the worker: see `hashes`.
    """

    uri: str
    codec: str
    sizeBytes: int
    sha256: str


class Encoded(NamedTuple):
    """A value as bytes. Its SHA-256 has no key, so it stays in this process: a store replaces it."""

    codec: str
    data: bytes
    sha256: str


def encode(value: object, name: str) -> Encoded:
    """Writes a value with the simplest codec that restores it exactly.

    Raises:
        NotSerialisable: names the part of the value that is not data.
    """
    try:
        codec, data = _encode(value, name)
    except RecursionError:
        raise NotSerialisable(name, TOO_DEEP) from None
    return Encoded(codec, data, hashlib.sha256(data).hexdigest())


def encode_result(value: object, name: str, returns: Callable[[], Any]) -> Encoded:
    """Writes a result of a task, whose return annotation says which classes come back.

    Args:
        returns: the return annotation, which is only read for instances of classes. None: there is none.

    Raises:
        NotSerialisable: names the part that is not data or would not come back equal.
    """
    try:
        return encode(value, name)
    except NotSerialisable:
        from . import shapes

        try:
            encoded = encode(Shaped(shapes.lowered(value)), name)
        except Unfit as unfit:
            raise NotSerialisable(name, unfit.found, next=unfit.next) from unfit
        except RecursionError:
            raise NotSerialisable(name, TOO_DEEP) from None
        annotation = returns()
        if annotation is None:
            raise
        try:
            read = shapes.restored(decode(encoded.data, codec=encoded.codec, uri=name), annotation)
            same = shapes.is_same(value, read)
        except Exception:
            same = False
        if same:
            return encoded
        told = getattr(annotation, "__qualname__", None) or str(annotation)
        raise NotSerialisable(
            name,
            f"{plain_type(value)}, which would not come back equal by the return annotation {told}",
            next="Annotate the task with the exact classes that it returns.",
        ) from None


def _encode(value: object, name: str) -> tuple[str, bytes]:
    if type(value) is bytes:
        return "bytes", value
    if type(value) is str and is_well_formed(value):
        return "text", value.encode("utf-8")
    if is_exact_json(value):
        return "json", json.dumps(value, separators=(",", ":")).encode("ascii")
    try:
        found = written_dict(value) if type(value) is dict else written(value)
    except Unfit as unfit:
        raise NotSerialisable(name, unfit.found, next=unfit.next) from unfit
    if found is not None and found.is_alone:
        return found.codec, found.data
    return "typed", to_typed_json(value, name)


def decode(data: bytes, *, codec: str, uri: str) -> Any:
    """Reads a value back.

    Raises:
        StoreFault: if the bytes are not what the codec says, or have no equal in Python.
    """
    try:
        if codec == "bytes":
            return data
        if codec == "text":
            return data.decode("utf-8")
        if codec == "json":
            return parse_json(data)
        if codec == "typed":
            return from_typed_json(data)
        if codec in CODECS:
            return _of_library(data, codec)
    except ImportError as cause:
        raise StoreFault(
            f"The value at {uri} needs the package {cause.name}, which is missing here.",
            next="Install it in the flow's environment.",
        ) from cause
    except (ValueError, TypeError, OverflowError, RecursionError) as cause:
        raise StoreFault(f"{uri} does not hold {codec}: {cause}.") from cause
    if codec == PICKLE:
        raise StoreFault(
            f"The value at {uri} was stored with pickle, which is read only as the result of its own task."
        )
    raise StoreFault(f"{uri} has the codec {codec}, which this release does not know.")


def _of_library(data: bytes, codec: str) -> Any:
    try:
        return read(codec, None, data)
    except (ImportError, ValueError, MemoryError):
        raise
    except Exception as cause:
        # Libraries have errors of their own for damaged files.
        raise ValueError(str(cause)) from cause
