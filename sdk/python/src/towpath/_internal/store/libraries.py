"""Values of libraries that may be there: pandas, polars, Arrow, NumPy, PyTorch.

A value's library is found among the loaded modules, so a flow that uses none of them loads none. It does not load the modules
beside this one either: together they took 6 ms of the start of each process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .unfit import Unfit

CODECS = ("parquet", "npy", "safetensors")
_LIBRARIES = {"numpy", "pandas", "polars", "pyarrow", "torch", "sklearn", "xgboost", "lightgbm", "keras"}
_MODELS = ("sklearn", "xgboost", "lightgbm", "keras", "torch")
_MODEL_NEXT = (
    "Save it to a file that its library can read, such as with skops or ONNX, and return the file's bytes or path."
)


class Written(NamedTuple):
    """A value as a file of a codec. `kind` distinguishes values with the same codec."""

    codec: str
    kind: str
    data: bytes
    is_alone: bool
    """Whether the file alone says its kind."""


def _library_of(value: object) -> str | None:
    root = (type(value).__module__ or "").partition(".")[0]
    return root if root in _LIBRARIES else None


def written(value: object) -> Written | None:
    """A value of a library as a file. None for other values. @raises Unfit if it would not come back equal"""
    if _library_of(value) is None:
        return None
    from . import arrays, tables, tensors

    table = tables.kind_of(value)
    if table is not None:
        return Written("parquet", table, tables.to_parquet(value, table), table != "polars-series")
    if arrays.is_array(value):
        return Written("npy", "array", arrays.to_npy(value), True)
    if arrays.is_number(value):
        return Written("npy", "scalar", arrays.to_npy(value), False)
    if tensors.is_tensor(value):
        return Written("safetensors", "tensor", tensors.to_safetensors(value, "tensor"), True)
    if _library_of(value) in _MODELS:
        raise Unfit(f"an instance of {type(value).__qualname__}", _MODEL_NEXT)
    return None


def written_dict(value: dict[Any, Any]) -> Written | None:
    """A dict of arrays or tensors as one file. None for other dicts. @raises Unfit"""
    if not value or not all(_library_of(one) for one in value.values()):
        return None
    from . import tensors

    kind = tensors.kind_of(value)
    return None if kind is None else Written("safetensors", kind, tensors.to_safetensors(value, kind), True)


def read(codec: str, kind: str | None, data: bytes) -> Any:
    """A value from its file.

    Raises:
        ValueError: if the file is damaged.
        ImportError: if its library is not there.
    """
    from . import arrays, tables, tensors

    if codec == "parquet":
        return tables.from_parquet(data, kind)
    if codec == "npy":
        array = arrays.from_npy(data)
        return array[()] if kind == "scalar" else array
    if codec == "safetensors":
        return tensors.from_safetensors(data)
    raise ValueError(f"an unknown kind {codec}")


def feed(value: object, token: Callable[[str, str], None], add: Callable[[str, bytes], None]) -> bool:
    """Hashes a value of a library. False for other values. @raises Unfit"""
    if _library_of(value) is None:
        return False
    from . import arrays, tables, tensors

    table = tables.kind_of(value)
    if table is not None:
        from .table_hash import feed_table

        feed_table(value, table, token, add)
    elif arrays.is_array(value) or arrays.is_number(value):
        token("numpy", "array" if arrays.is_array(value) else "scalar")
        arrays.feed_array(value, token, add)
    elif tensors.is_tensor(value):
        tensors.feed_tensor(value, token, add)
    else:
        return False
    return True
