"""The hash of tables: of what each column holds, whatever its chunks and whatever lies in memory under missing values."""

from __future__ import annotations

import importlib
import io
import json
import sys
from typing import Any

from . import tables
from .tables import Bytes, Token
from .unfit import Unfit


def feed_table(value: Any, kind: str, token: Token, add: Bytes) -> None:
    """Hashes a table or a series. @raises Unfit"""
    token("table", kind)
    if kind.startswith("pandas"):
        _feed_pandas(value, kind, token, add)
    elif kind.startswith("polars"):
        frame = value.to_frame() if kind == "polars-series" else value
        token("rows", str(frame.height))
        for series in frame.get_columns():
            token("column", series.name)
            _feed_series(series, token, add)
    else:
        _feed_columns(value, token, add)


def _feed_pandas(value: Any, kind: str, token: Token, add: Bytes) -> None:
    frame = tables.frame_of(value, kind)
    told = tables.own_facts(frame, kind)
    if kind == "pandas-series":
        told["name"] = repr(value.name)
    names = [repr(list(frame.columns.names)), repr(list(frame.index.names)), repr(frame.columns.dtype)]
    dtypes = [str(one) for one in frame.dtypes]
    token("pandas", json.dumps([told, names, dtypes, type(frame.index).__name__]))
    table = tables.arrow_table(frame, kind)
    index = frame.index
    if type(index).__name__ == "RangeIndex":
        token("range", f"{index.start},{index.stop},{index.step}")
    _feed_columns(table, token, add)


def _feed_columns(table: Any, token: Token, add: Bytes) -> None:
    token("rows", str(table.num_rows))
    for field, column in zip(table.schema, table.columns, strict=True):
        token("column", field.name)
        _feed_array(_whole(column), token, add)


def _whole(column: Any) -> Any:
    """One array of a column of chunks."""
    pyarrow = sys.modules["pyarrow"]
    chunks = column.chunks
    if len(chunks) == 1:
        return chunks[0]
    return pyarrow.concat_arrays(chunks) if chunks else pyarrow.array([], column.type)


def _feed_array(array: Any, token: Token, add: Bytes) -> None:
    compute, types = importlib.import_module("pyarrow.compute"), importlib.import_module("pyarrow.types")
    kind = array.type
    # Names of items inside of lists have no meaning.
    token("type", str(kind).split("<")[0] if types.is_nested(kind) or types.is_dictionary(kind) else str(kind))
    if types.is_fixed_size_list(kind):
        token("size", str(kind.list_size))
    token("length", str(len(array)))
    if array.null_count and not types.is_null(kind):
        add("valid", _values(compute.cast(array.is_valid(), "uint8")))
        array = array.drop_null()
    if types.is_null(kind):
        return
    if types.is_boolean(kind):
        add("values", _values(compute.cast(array, "uint8")))
    elif types.is_dictionary(kind):
        token("ordered", str(kind.ordered))
        _feed_array(array.indices, token, add)
        _feed_array(array.dictionary, token, add)
    elif types.is_struct(kind):
        for index, field in enumerate(kind):
            token("column", field.name)
            _feed_array(compute.struct_field(array, [index]), token, add)
    elif types.is_list(kind) or types.is_large_list(kind):
        _feed_array(compute.list_value_length(array), token, add)
        _feed_array(array.flatten(), token, add)
    elif types.is_fixed_size_list(kind):
        _feed_array(array.flatten(), token, add)
    elif types.is_map(kind):
        pyarrow = sys.modules["pyarrow"]
        pair = pyarrow.struct([("key", kind.key_type), ("value", kind.item_type)])
        _feed_array(array.cast(pyarrow.list_(pair)), token, add)
    else:
        _feed_plain(array, token, add)


def _feed_plain(array: Any, token: Token, add: Bytes) -> None:
    pyarrow, compute = sys.modules["pyarrow"], importlib.import_module("pyarrow.compute")
    types = importlib.import_module("pyarrow.types")
    kind = array.type
    if isinstance(array, pyarrow.ExtensionArray):
        _feed_array(array.storage, token, add)
        return
    views = {"string_view": "large_string", "binary_view": "large_binary"}
    if str(kind) in views:
        array = array.cast(views[str(kind)])
    elif types.is_string(kind) or types.is_binary(kind):
        array = array.cast("large_string" if types.is_string(kind) else "large_binary")
    if types.is_large_string(array.type) or types.is_large_binary(array.type):
        add("lengths", _values(compute.binary_length(array)))
        offsets, data = array.buffers()[1], array.buffers()[2]
        if len(array) and data is not None:
            ends = memoryview(offsets).cast("B")[8 * array.offset : 8 * (array.offset + len(array) + 1)].cast("q")
            add("values", memoryview(data).cast("B")[ends[0] : ends[-1]])
        return
    add("values", _values(array))


def _values(array: Any) -> Any:
    """The bytes of an array of a fixed width without missing values."""
    try:
        width = array.type.bit_width
    except ValueError:
        raise Unfit(f"a table with a column of type {array.type}") from None
    if width % 8 or len(array.buffers()) != 2:
        raise Unfit(f"a table with a column of type {array.type}")
    data = array.buffers()[1]
    if len(array) == 0 or data is None:
        return b""
    step = width // 8
    return memoryview(data).cast("B")[array.offset * step : (array.offset + len(array)) * step]


# polars, which may be there without pyarrow


def _feed_series(series: Any, token: Token, add: Bytes) -> None:
    polars = sys.modules["polars"]
    dtype = series.dtype
    name = type(dtype).__name__
    token("type", name if name in ("Categorical", "List", "Array", "Struct") else repr(dtype))
    token("length", str(len(series)))
    if name == "Null":
        return
    if series.null_count():
        add("valid", _stream(series.is_not_null()))
        # Chunks that are joined later would keep validity bits.
        series = series.rechunk().drop_nulls()
    if name == "List":
        lengths = series.list.len()
        add("lengths", _stream(lengths))
        # An empty list would become one missing value.
        _feed_series(series.filter(lengths > 0).explode(), token, add)
    elif name == "Array":
        _feed_series(series.explode() if dtype.size else series.head(0).explode(), token, add)
    elif name == "Struct":
        for field in series.struct.fields:
            token("column", field)
            _feed_series(series.struct.field(field), token, add)
    elif name in ("Categorical", "Enum"):
        add("values", _stream(series.cast(polars.String)))
    elif name == "Object":
        raise Unfit("a table with a column of Python objects")
    else:
        add("values", _stream(series))


def _stream(series: Any) -> bytes:
    """A series without missing values as a stream of Arrow."""
    polars = sys.modules["polars"]
    out = io.BytesIO()
    # The bits after the last boolean have no meaning.
    plain = series.cast(polars.UInt8) if series.dtype == polars.Boolean else series
    frame = plain.alias("values").rechunk().to_frame()
    frame.write_ipc_stream(out, compat_level=polars.CompatLevel.oldest())
    return out.getvalue()
