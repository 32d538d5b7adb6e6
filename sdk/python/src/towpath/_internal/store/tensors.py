"""Tensors of PyTorch, and dicts of arrays, as safetensors files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import prod
from typing import Any

from . import arrays
from .unfit import Unfit

_HEADER_BYTES_MAX = 8 * 1024**2
_TENSORS_MAX = 100_000
_DIMENSIONS_MAX = 64
_META = "__metadata__"

_TORCH = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_NUMPY = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
_NUMPY_NAMES = {told: name for name, told in _NUMPY.items()}
_WIDTHS = {"F8_E4M3": 1, "F8_E5M2": 1, "BF16": 2, **{name: int(told[2:]) for name, told in _NUMPY.items()}}


def _torch() -> Any:
    import importlib

    return importlib.import_module("torch")


def is_tensor(value: object) -> bool:
    """Whether a value is exactly a tensor of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and type(value) is getattr(torch, "Tensor", None)


def kind_of(value: object) -> str | None:
    """`tensor`, `tensors` or `arrays` (dicts from text), or None."""
    if is_tensor(value):
        return "tensor"
    if type(value) is not dict or not value or not all(type(key) is str and key != _META for key in value):
        return None
    if not all(_is_text(key) for key in value):
        return None
    if all(is_tensor(one) for one in value.values()):
        return "tensors"
    is_arrays = all(arrays.is_array(one) and one.dtype.str in _NUMPY_NAMES for one in value.values())
    return "arrays" if is_arrays else None


def _is_text(key: str) -> bool:
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _name_of(tensor: Any) -> str:
    torch = _torch()
    for name, told in _TORCH.items():
        if getattr(torch, told, None) is tensor.dtype:
            return name
    raise Unfit(f"a tensor of type {tensor.dtype}")


def _bytes_of(tensor: Any) -> bytes:
    torch = _torch()
    if tensor.device.type != "cpu":
        raise Unfit(f"a tensor on the device {tensor.device}", "Return a copy in main memory: tensor.cpu().")
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise Unfit("a sparse or quantized tensor", "Return tensor.to_dense().")
    if tensor.requires_grad:
        raise Unfit("a tensor that records gradients", "Return tensor.detach().")
    if tensor.numel() == 0:
        return b""
    flat = tensor.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
    try:
        return bytes(flat.numpy().data)
    except RuntimeError:
        # PyTorch without NumPy.
        return bytes(flat.untyped_storage())[flat.storage_offset() : flat.storage_offset() + flat.numel()]


def to_safetensors(value: Any, kind: str) -> bytes:
    """Tensors as a file. @raises Unfit"""
    named = {"value": value} if kind == "tensor" else value
    if len(named) > _TENSORS_MAX:
        raise Unfit(f"a dict of more than {_TENSORS_MAX:,} tensors")
    head: dict[str, Any] = {_META: {"towpath": kind}}
    pieces: list[bytes] = []
    at = 0
    for name, one in named.items():
        piece = one.tobytes() if kind == "arrays" else _bytes_of(one)
        dtype = _NUMPY_NAMES[one.dtype.str] if kind == "arrays" else _name_of(one)
        head[name] = {"dtype": dtype, "shape": list(one.shape), "data_offsets": [at, at + len(piece)]}
        at += len(piece)
        pieces.append(piece)
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > _HEADER_BYTES_MAX:
        raise Unfit("a dict of tensors with too long names")
    return b"".join((len(text).to_bytes(8, "little"), text, *pieces))


def _head_of(data: bytes) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > _HEADER_BYTES_MAX or 8 + length > len(data):
        raise ValueError("the header is too long")
    head = json.loads(data[8 : 8 + length])
    if not isinstance(head, dict) or len(head) > _TENSORS_MAX + 1:
        raise ValueError("the header is damaged")
    return head, 8 + length


def _span(told: Any, at: int, size: int) -> tuple[str, list[int], int]:
    """The dtype, shape and end of a tensor that begins where the one before ended."""
    dtype, shape, (begin, end) = told["dtype"], told["shape"], told["data_offsets"]
    is_shape = isinstance(shape, list) and len(shape) <= _DIMENSIONS_MAX
    if not is_shape or not all(type(one) is int and one >= 0 for one in shape):
        raise ValueError("a shape is not one")
    if begin != at or type(end) is not int or end - begin != prod(shape) * _WIDTHS[dtype] or end > size:
        raise ValueError("the shape of a tensor does not fit its size")
    return dtype, shape, end


def from_safetensors(data: bytes) -> Any:
    """Tensors from a file: one, or a dict. @raises ValueError if it is damaged."""
    head, base = _head_of(data)
    meta = head.pop(_META, {})
    kind = meta.get("towpath", "tensors") if isinstance(meta, dict) else "tensors"
    if kind not in ("tensor", "tensors", "arrays"):
        raise ValueError("an unknown kind of tensors")
    found: dict[str, Any] = {}
    at = 0
    try:
        for name, told in head.items():
            dtype, shape, end = _span(told, at, len(data) - base)
            found[name] = _made(kind, dtype, shape, data[base + at : base + end])
            at = end
    except (KeyError, TypeError) as cause:
        raise ValueError("the header is damaged") from cause
    if at != len(data) - base:
        raise ValueError("there are bytes that no tensor has")
    return found["value"] if kind == "tensor" and "value" in found else found


def _made(kind: str, dtype: str, shape: list[int], raw: bytes) -> Any:
    if kind == "arrays":
        import importlib

        numpy = importlib.import_module("numpy")
        return numpy.frombuffer(raw, _NUMPY[dtype]).reshape(shape).copy()
    torch = _torch()
    wanted = getattr(torch, _TORCH[dtype])
    if not raw:
        return torch.empty(shape, dtype=wanted)
    # A copy of its own, which can be written to.
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(wanted).reshape(shape)


def feed_tensor(tensor: Any, token: Callable[[str, str], None], add: Callable[[str, bytes], None]) -> None:
    """Hashes a tensor by its type, shape and bytes. @raises Unfit"""
    token("tensor", f"{_name_of(tensor)} {list(tensor.shape)!r}")
    add("bytes", _bytes_of(tensor))
