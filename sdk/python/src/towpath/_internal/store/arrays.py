"""Arrays and numbers of NumPy as `.npy` files without Python objects."""

from __future__ import annotations

import ast
import math
import struct
import sys
from collections.abc import Callable
from typing import Any

from .unfit import Unfit

_MAGIC = b"\x93NUMPY"
_HEADER_BYTES_MAX = 64 * 1024
_DIMENSIONS_MAX = 64
_ALIGN = 64
_OBJECTS = "an array of Python objects"
_OBJECTS_NEXT = "Give it a dtype of numbers, texts or times, such as with array.astype(float)."


def _numpy() -> Any:
    import importlib

    return importlib.import_module("numpy")


def is_array(value: object) -> bool:
    """Whether a value is exactly an array of NumPy: a subclass may have more state."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def is_number(value: object) -> bool:
    """Whether a value is a scalar of NumPy, such as a `float64`."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def _described(dtype: Any) -> Any:
    """A dtype as plain data. @raises Unfit for one that would not come back equal."""
    numpy = _numpy()
    if dtype.hasobject:
        raise Unfit(_OBJECTS, _OBJECTS_NEXT)
    try:
        told = numpy.lib.format.dtype_to_descr(dtype)
        same = numpy.lib.format.descr_to_dtype(ast.literal_eval(repr(told))) == dtype
    except Exception:
        told, same = None, False
    if not same or dtype.itemsize == 0:
        raise Unfit(f"an array of type {dtype}")
    return told


def to_npy(array: Any) -> bytes:
    """An array or a scalar as a file. @raises Unfit"""
    told = _described(array.dtype)
    head = f"{{'descr': {told!r}, 'fortran_order': False, 'shape': {tuple(array.shape)!r}, }}".encode()
    if len(head) > _HEADER_BYTES_MAX - 2 * _ALIGN:
        raise Unfit("an array of a type with too many fields")
    version, size, count = (b"\x01\x00", 2, "<H") if head.isascii() and len(head) < 65_000 else (b"\x03\x00", 4, "<I")
    begin = len(_MAGIC) + 2 + size
    padding = -(begin + len(head) + 1) % _ALIGN
    head += b" " * padding + b"\n"
    return b"".join((_MAGIC, version, struct.pack(count, len(head)), head, array.tobytes()))


def from_npy(data: bytes) -> Any:
    """An array from a file. @raises ValueError if it is not one, or holds objects."""
    numpy = _numpy()
    if data[:6] != _MAGIC or data[6:8] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ValueError("not an .npy file")
    begin = 10 if data[6] == 1 else 12
    length = int.from_bytes(data[8:begin], "little")
    if length > _HEADER_BYTES_MAX or begin + length > len(data):
        raise ValueError("the header is too long")
    text = data[begin : begin + length].decode("latin-1" if data[6] < 3 else "utf-8")
    try:
        head = ast.literal_eval(text)
    except (SyntaxError, MemoryError, RecursionError) as cause:
        raise ValueError("the header is damaged") from cause
    if not isinstance(head, dict) or set(head) != {"descr", "fortran_order", "shape"} or head["fortran_order"]:
        raise ValueError("the header is not one of this package")
    shape = head["shape"]
    is_shape = isinstance(shape, tuple) and len(shape) <= _DIMENSIONS_MAX
    if not is_shape or not all(type(one) is int and one >= 0 for one in shape):
        raise ValueError("the shape is not one")
    dtype = numpy.lib.format.descr_to_dtype(head["descr"])
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError("an array of Python objects is not read")
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - begin - length:
        raise ValueError("the shape does not fit the size")
    # A copy of its own, which can be written to.
    flat = numpy.frombuffer(data, dtype, count, begin + length) if count else numpy.empty(0, dtype)
    return flat.reshape(shape).copy()


def feed_array(array: Any, token: Callable[[str, str], None], add: Callable[[str, bytes], None]) -> None:
    """Hashes an array by its dtype, shape and bytes. @raises Unfit"""
    token("npy", f"{_described(array.dtype)!r} {tuple(array.shape)!r}")
    if array.dtype.names is None:
        add("bytes", array.tobytes())
        return
    # The bytes between two fields have no meaning.
    for name in array.dtype.names:
        field = array[name]
        if field.dtype.names is None:
            add("bytes", field.tobytes())
        else:
            feed_array(field, token, add)
