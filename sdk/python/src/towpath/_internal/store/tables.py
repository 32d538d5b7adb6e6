"""Tables of pandas, polars and Arrow as Parquet files."""

from __future__ import annotations

import base64
import importlib
import io
import json
import math
import sys
from collections.abc import Callable
from typing import Any

from .parquet_limits import Facts, ParquetFault, check_size, facts_of
from .unfit import Unfit

Token = Callable[[str, str], None]
Bytes = Callable[[str, Any], None]

_OWN = "towpath"
_CLASSES = {
    ("pandas", "DataFrame"): "pandas",
    ("pandas", "Series"): "pandas-series",
    ("polars", "DataFrame"): "polars",
    ("polars", "Series"): "polars-series",
    ("pyarrow", "Table"): "arrow",
}
_KINDS_SHOWN = 4
_NO_PYARROW = "Install pyarrow in the flow's environment: pandas writes Parquet with it."


def kind_of(value: object) -> str | None:
    """The kind of a table or series, or None. A subclass is none, because it may have more state."""
    for (module, name), kind in _CLASSES.items():
        library = sys.modules.get(module)
        if library is not None and type(value) is getattr(library, name, None):
            return kind
    return None


def _arrow(kind: str) -> Any:
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise Unfit(f"a {kind.replace('-', ' ')} without the package pyarrow", _NO_PYARROW) from None


# pandas


def own_facts(frame: Any, kind: str) -> dict[str, Any]:
    """What Parquet does not hold of a frame: columns of objects with their kind of missing values, the step of its index, and
    whether its columns are numbered. @raises Unfit"""
    objects: dict[str, str] = {}
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        if column.dtype == object:
            objects[str(position)] = _missing_kind(column)
    told: dict[str, Any] = {"kind": kind, "objects": objects}
    step = getattr(frame.index, "freqstr", None)
    if step is not None and type(frame.index).__name__ in ("DatetimeIndex", "TimedeltaIndex"):
        told["freq"] = step
    if type(frame.columns).__name__ == "RangeIndex":
        told["columns"] = [frame.columns.start, frame.columns.stop, frame.columns.step]
    return told


def _missing_kind(column: Any) -> str:
    kinds = {"none" if one is None else "nan" for one in column[column.isna()]}
    if len(kinds) > 1:
        raise Unfit(f'a table whose column "{column.name}" mixes None and NaN', "Use one of them.")
    return kinds.pop() if kinds else "none"


def frame_of(value: Any, kind: str) -> Any:
    return value.to_frame("value") if kind == "pandas-series" else value


def arrow_table(frame: Any, kind: str) -> Any:
    pyarrow = _arrow(kind)
    try:
        return pyarrow.Table.from_pandas(frame, preserve_index=None)
    except Exception as cause:
        # The error of pyarrow may have a value of the table, which must not leave with a log line.
        mixed = _mixed_column(frame, pyarrow)
        if mixed is not None:
            raise Unfit(mixed, "Give each column one type.") from None
        what = str(cause.args[0] if cause.args else cause).splitlines()[0]
        raise Unfit(f"a table that Parquet cannot hold ({what})", "Give each column one type.") from cause


def _mixed_column(frame: Any, pyarrow: Any) -> str | None:
    """Describes the first column that Arrow cannot hold, by the types of its values."""
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        if column.dtype != object:
            continue
        try:
            pyarrow.Array.from_pandas(column)
        except Exception:
            kinds = sorted({type(value).__name__ for value in column[column.notna()]})[:_KINDS_SHOWN]
            what = (
                f"mixes values of {', '.join(kinds[:-1])} and {kinds[-1]}"
                if len(kinds) > 1
                else f"has {kinds[0]} values"
            )
            return f'a table whose column "{column.name}" {what}'
    return None


def _pandas_bytes(value: Any, kind: str) -> bytes:
    frame = frame_of(value, kind)
    told = own_facts(frame, kind)
    if kind == "pandas-series":
        if type(value.name) not in (str, int, type(None)):
            raise Unfit("a series whose name is neither text nor a whole number")
        told["name"] = value.name
    table = arrow_table(frame, kind)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _OWN: json.dumps(told)})
    data = _arrow_bytes(table)
    different = _difference(frame, frame_of(_read_back(data), kind))
    if different is not None:
        raise Unfit(f"a table that Parquet would change ({different})")
    return data


def _difference(frame: Any, read: Any) -> str | None:
    """Why a frame that was read back is not equal, or None."""
    for position in range(frame.shape[1]):
        before, after = frame.iloc[:, position], read.iloc[:, position]
        if before.dtype != after.dtype:
            return f'the type of column "{before.name}" from {before.dtype} to {after.dtype}'
        if before.dtype == object and not _same_objects(before, after):
            return f'values of column "{before.name}"'
    if not _same_index(frame.columns, read.columns):
        return "the names of its columns"
    if not _same_index(frame.index, read.index):
        return "its index"
    return None if frame.attrs == read.attrs else "its attrs"


def _same_index(before: Any, after: Any) -> bool:
    same = type(before) is type(after) and before.dtype == after.dtype and list(before.names) == list(after.names)
    return same and before.equals(after) and getattr(before, "freq", None) == getattr(after, "freq", None)


def _same_objects(before: Any, after: Any) -> bool:
    for one, other in zip(before.array, after.array, strict=True):
        if type(one) is not type(other):
            return False
        if one is not other and not _is_equal(one, other):
            return False
    return True


def _is_equal(one: Any, other: Any) -> bool:
    number: object = one
    if isinstance(number, float) and math.isnan(number):
        return math.isnan(other)
    try:
        return bool(one == other)
    except ValueError:
        # Arrays in cells: they compare item by item.
        return bool((one == other).all()) if one.dtype == other.dtype and one.shape == other.shape else False


def _pandas_read(table: Any, told: dict[str, Any]) -> Any:
    frame = table.to_pandas()
    for position, missing in told.get("objects", {}).items():
        column = frame.iloc[:, int(position)]
        if column.dtype != object or column.hasnans:
            column = column.astype(object)
            frame.isetitem(int(position), column.where(column.notna(), math.nan if missing == "nan" else None))
    if "columns" in told:
        start, stop, step = told["columns"]
        numbered = sys.modules["pandas"].RangeIndex(start, stop, step)
        if len(numbered) == frame.shape[1]:
            frame.columns = numbered
    if "freq" in told:
        frame.index.freq = told["freq"]
    if told["kind"] == "pandas-series":
        series = frame.iloc[:, 0]
        series.name = told.get("name")
        return series
    return frame


# Arrow


def _is_dictionary(field: Any) -> bool:
    types = importlib.import_module("pyarrow.types")
    return bool(types.is_dictionary(field.type))


def _arrow_bytes(table: Any) -> bytes:
    parquet = importlib.import_module("pyarrow.parquet")
    types = importlib.import_module("pyarrow.types")
    # Texts are written one by one: a dictionary of texts could become very large when it is read.
    shared = [one.name for one in table.schema if types.is_primitive(one.type) or types.is_dictionary(one.type)]
    out = io.BytesIO()
    try:
        parquet.write_table(table, out, compression="snappy", use_dictionary=shared or False)
    except Exception as cause:
        raise Unfit(f"a table that Parquet cannot hold ({str(cause).splitlines()[0]})") from cause
    return out.getvalue()


_NESTED_FIXED = "lists of a fixed size inside of other lists"


def _fixed_items(kind: Any) -> int:
    """How many items of lists of a fixed size one row has, though it may be null. @raises ParquetFault"""
    types = importlib.import_module("pyarrow.types")
    if types.is_fixed_size_list(kind):
        return int(kind.list_size) * max(1, _fixed_items(kind.value_type))
    inner = [kind.field(index).type for index in range(kind.num_fields)] if types.is_nested(kind) else []
    items = sum(_fixed_items(one) for one in inner)
    if items and not types.is_struct(kind):
        raise ParquetFault(f"it has {_NESTED_FIXED}")
    return items


def _arrow_read(data: bytes, metadata: Any) -> Any:
    pyarrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    schema = parquet.read_schema(pyarrow.BufferReader(data))
    dictionaries = {field.name for field in schema if _is_dictionary(field)}
    facts = facts_of(data, lambda name: name not in dictionaries)
    items = sum(_fixed_items(field.type) for field in schema)
    # A list of a fixed size takes its place where it is null, too.
    check_size(facts.decoded_bytes + items * 16 * facts.rows, data)
    table = parquet.read_table(pyarrow.BufferReader(data), use_threads=False)
    return _with_times(table, metadata.get("ARROW:schema"))


def _with_times(table: Any, told: str | None) -> Any:
    """Parquet has no whole seconds. The schema of the table that was written says which columns had them."""
    if told is None:
        return table
    pyarrow = importlib.import_module("pyarrow")
    types = importlib.import_module("pyarrow.types")
    schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(told)))
    for position, field in enumerate(table.schema):
        wanted = schema.field(position).type if position < len(schema) else field.type
        if wanted != field.type and types.is_timestamp(wanted) and types.is_timestamp(field.type):
            table = table.set_column(position, field.with_type(wanted), table.column(position).cast(wanted))
    return table


def _arrow_table_bytes(table: Any) -> bytes:
    data = _arrow_bytes(table)
    read = _read_back(data)
    changed = next(
        (one.name for one in table.schema if not _same_type(read.schema.field(one.name).type, one.type)), None
    )
    if changed is not None:
        raise Unfit(f'an Arrow table whose column "{changed}" Parquet would change')
    return data


def _read_back(data: bytes) -> Any:
    """Some releases of pyarrow cannot read what they wrote. @raises Unfit"""
    try:
        return from_parquet(data)
    except ParquetFault:
        raise
    except Exception as cause:
        raise Unfit(f"a table that pyarrow cannot read back ({str(cause).splitlines()[0]})") from cause


def _same_type(one: Any, other: Any) -> bool:
    """Whether types are equal but for the names of items in lists and maps."""
    types = importlib.import_module("pyarrow.types")
    if one == other:
        return True
    if not types.is_nested(one) or one.id != other.id or one.num_fields != other.num_fields:
        return False
    if types.is_struct(one) and [field.name for field in one] != [field.name for field in other]:
        return False
    if types.is_fixed_size_list(one) and one.list_size != other.list_size:
        return False
    return all(_same_type(one.field(index).type, other.field(index).type) for index in range(one.num_fields))


# polars


def _polars_bytes(value: Any, kind: str) -> bytes:
    polars = sys.modules["polars"]
    frame = value.to_frame() if kind == "polars-series" else value
    out = io.BytesIO()
    try:
        frame.write_parquet(out, compression="snappy")
    except BaseException as cause:
        # A panic of Rust is no Exception.
        if isinstance(cause, (KeyboardInterrupt, SystemExit)) or not type(cause).__module__.startswith(
            ("polars", "pyo3", "builtins")
        ):
            raise
        raise Unfit(f"a table that Parquet cannot hold ({str(cause).splitlines()[0]})") from cause
    data = out.getvalue()
    read = polars.read_parquet_schema(io.BytesIO(data))
    for name, dtype in frame.schema.items():
        if read.get(name) != dtype:
            raise Unfit(f'a table whose column "{name}" Parquet would change from {dtype} to {read.get(name)}')
    # What could not be read back is not stored.
    _check_polars(data)
    return data


def _fixed_polars_items(dtype: Any) -> int:
    inner = getattr(dtype, "inner", None)
    if type(dtype).__name__ == "Array":
        return int(dtype.size) * max(1, _fixed_polars_items(inner))
    items = sum(_fixed_polars_items(one.dtype) for one in getattr(dtype, "fields", ()))
    if inner is not None and _fixed_polars_items(inner):
        raise ParquetFault(f"it has {_NESTED_FIXED}")
    return items


def _check_polars(data: bytes) -> None:
    polars = importlib.import_module("polars")
    # Texts of polars share the bytes of a dictionary.
    facts = facts_of(data, lambda _: False)
    schema = polars.read_parquet_schema(io.BytesIO(data))
    items = sum(_fixed_polars_items(dtype) for dtype in schema.values())
    check_size(facts.decoded_bytes + items * 16 * facts.rows, data)


# All of them


def to_parquet(value: Any, kind: str) -> bytes:
    """A table as a file. @raises Unfit"""
    try:
        if kind.startswith("pandas"):
            return _pandas_bytes(value, kind)
        return _polars_bytes(value, kind) if kind.startswith("polars") else _arrow_table_bytes(value)
    except ParquetFault as fault:
        raise Unfit(f"a table that would not be read back: {fault}") from fault


def from_parquet(data: bytes, wanted: str | None = None) -> Any:
    """A table from a file. @raises ValueError if the file is damaged, or too large in memory."""
    # Sizes are checked for the reader, once it is known.
    facts = facts_of(data, lambda _: False)
    told = _told_by(facts)
    kind: str = wanted or told["kind"]
    try:
        if kind.startswith("polars"):
            polars = importlib.import_module("polars")
            _check_polars(data)
            frame = polars.read_parquet(io.BytesIO(data))
            return frame.to_series(0) if kind == "polars-series" else frame
        table = _arrow_read(data, facts.metadata)
    except ImportError as cause:
        raise ModuleNotFoundError(
            f"a table of {kind.split('-')[0]} needs the package {cause.name}", name=cause.name
        ) from None
    if kind.startswith("pandas"):
        return _pandas_read(table, {**told, "kind": kind})
    kept = {key: item for key, item in (table.schema.metadata or {}).items() if key != _OWN.encode()}
    return table.replace_schema_metadata(kept or None)


def _told_by(facts: Facts) -> dict[str, Any]:
    own = facts.metadata.get(_OWN)
    if own is not None:
        told = json.loads(own)
        if isinstance(told, dict) and told.get("kind") in ("pandas", "pandas-series"):
            return told
    return {"kind": "polars" if facts.created_by.startswith("Polars") else "arrow"}
