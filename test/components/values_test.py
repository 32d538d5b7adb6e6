"""Values of pandas, polars, Arrow and NumPy come back equal with an equal hash, or are refused with a reason."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import math
import sys
import unittest
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk" / "python" / "src"))

from towpath import flow, task
from towpath._internal.problem import NotData, NotSerialisable, StoreFault
from towpath._internal.store import parquet_limits
from towpath._internal.store.codec import decode, encode, encode_result
from towpath._internal.store.hashes import PLAIN_HASHES
from towpath._internal.store.shapes import is_same, restored
from towpath._internal.task.input_hash import hash_input
from towpath.test import run_flow


def _read(value: Any) -> Any:
    encoded = encode(value, "result")
    return decode(encoded.data, codec=encoded.codec, uri="memory:x")


def _frames() -> dict[str, pd.DataFrame]:
    base = pd.DataFrame(
        {
            "a": [1, 2, 3],
            "b": ["x", None, "z"],
            "c": [1.5, math.nan, 2],
            "t": pd.to_datetime(["2020-01-01", "2021-01-01", None]),
            "cat": pd.Categorical(["q", "z", None], categories=["z", "q", "unused"], ordered=True),
            "I": pd.array([1, None, 3], dtype="Int64"),
            "o": pd.Series(["x", math.nan, "z"], dtype=object),
            "n": pd.Series(["x", None, "z"], dtype=object),
            "d": [decimal.Decimal("1.2"), None, decimal.Decimal("1.25")],
            "day": [dt.date(2020, 1, 1), None, dt.date(2020, 1, 2)],
            "s": np.array(["2020-01-01"] * 3, dtype="M8[s]"),
        }
    )
    return {
        "plain": base,
        "filtered": base.query("a != 2"),
        "reversed": base.iloc[::-1],
        "sliced": base.iloc[1:],
        "masked": base.assign(z=base.I.where(base.a > 1), y=base.I + base.I),
        "twice": pd.concat([base, base]),
        "two indices": base.set_index(["a", "b"]),
        "days": pd.DataFrame({"x": range(3)}, index=pd.date_range("2020", periods=3, freq="D", tz="Europe/Berlin")),
        "numbered": pd.DataFrame([[1, 2.5]]),
        "two header rows": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
        "empty": pd.DataFrame(),
        "no rows": pd.DataFrame({"a": []}),
        "no columns": pd.DataFrame(index=[1, 2]),
    }


def _polars() -> dict[str, pl.DataFrame]:
    base = pl.DataFrame(
        {
            "a": [1, None, 3, None],
            "b": ["x", None, "yy", ""],
            "l": [[1], [None, 2], [], None],
            "s": [{"q": 1}, None, {"q": None}, {"q": 3}],
            "c": pl.Series(["a", None, "b", "a"], dtype=pl.Categorical),
            "e": pl.Series(["a", "b", None, "a"], dtype=pl.Enum(["b", "a"])),
            "f": [1.5, None, math.nan, 2],
            "bo": [True, None, False, True],
            "d": [dt.datetime(2020, 1, 1), None] * 2,
            "arr": pl.Series([[1, 2], None, [3, 4], [5, 6]], dtype=pl.Array(pl.Int64, 2)),
        }
    )
    return {
        "plain": base,
        "filtered": base.filter(pl.col("a").is_null() | (pl.col("a") > 1)),
        "computed": base.with_columns(z=pl.col("f").shift(1), y=pl.col("a") + pl.col("f")),
        "sliced": base[1:3],
        "chunked": pl.concat([base, base], rechunk=False),
        "empty": pl.DataFrame(),
        "long": pl.DataFrame({"a": ["hello world" * 10, None] * 100_000, "b": range(200_000), "c": [1] * 200_000}),
    }


def _arrow() -> dict[str, pa.Table]:
    base = pa.table(
        {
            "a": [1, None],
            "s": ["x", "y"],
            "d": pa.array(["a", None]).dictionary_encode(),
            "ts": pa.array([1, 2], pa.timestamp("s")),
            "f": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2)),
            "m": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
            "b": pa.array([True, None]),
        }
    )
    return {"plain": base, "sliced": base.slice(1), "chunked": pa.concat_tables([base, base]), "empty": pa.table({})}


def _arrays() -> list[Any]:
    return [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::2],
        np.array("x"),
        np.zeros((0, 3)),
        np.array(["2020"], dtype="M8[D]"),
        np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8", (2,))], align=True)),
        np.array([1 + 2j, math.nan]),
    ]


class Tables(unittest.TestCase):
    def test_frames_of_pandas_come_back_equal(self) -> None:
        for name, frame in _frames().items():
            with self.subTest(name):
                read = _read(frame)
                pd.testing.assert_frame_equal(frame, read, check_freq=True, check_flags=True)
                self.assertEqual(hash_input("t", [read], PLAIN_HASHES), hash_input("t", [frame], PLAIN_HASHES))

    def test_series_come_back_equal(self) -> None:
        for series in (pd.Series([1.5, 2], name="y"), pd.Series(["a"], index=["z"]), pd.Series([1], name=3)):
            read = _read(series)
            pd.testing.assert_series_equal(series, read)
            self.assertEqual(hash_input("t", [read], PLAIN_HASHES), hash_input("t", [series], PLAIN_HASHES))
        series = pl.Series("q", [1, None])
        self.assertTrue(series.equals(_read(series)))
        self.assertEqual(hash_input("t", [_read(series)], PLAIN_HASHES), hash_input("t", [series], PLAIN_HASHES))

    def test_frames_of_polars_come_back_equal(self) -> None:
        for name, frame in _polars().items():
            with self.subTest(name):
                read = _read(frame)
                self.assertTrue(frame.equals(read))
                self.assertEqual(frame.schema, read.schema)
                self.assertEqual(hash_input("t", [read], PLAIN_HASHES), hash_input("t", [frame], PLAIN_HASHES))
        self.assertEqual(hash_input("t", [_polars()["chunked"]], PLAIN_HASHES), hash_input("t", [_polars()["chunked"].rechunk()], PLAIN_HASHES))

    def test_tables_of_arrow_come_back_equal(self) -> None:
        for name, table in _arrow().items():
            with self.subTest(name):
                read = _read(table)
                self.assertEqual(read.to_pylist(), table.to_pylist())
                self.assertEqual(hash_input("t", [read], PLAIN_HASHES), hash_input("t", [table], PLAIN_HASHES))

    def test_different_tables_have_different_hashes(self) -> None:
        base = _frames()["plain"]
        others = [
            base,
            base.iloc[:2],
            base.rename(columns={"a": "q"}),
            base.astype({"a": "int32"}),
            base.iloc[::-1],
            base.iloc[::-1].reset_index(drop=True),
            base.assign(cat=base["cat"].cat.reorder_categories(["q", "z", "unused"])),
            base.set_index("a"),
            base.rename_axis("n"),
            pl.from_pandas(base[["a"]]),
            base[["a"]],
            base["a"],
            base["a"].rename("other"),
        ]
        self.assertEqual(len({hash_input("t", [one], PLAIN_HASHES) for one in others}), len(others))

    def test_what_would_change_is_refused_with_its_column(self) -> None:
        refused: list[tuple[Any, str]] = [
            (pd.DataFrame({"b": pd.Series(["x", 1], dtype=object)}), 'column "b" mixes values of int and str'),
            (pd.DataFrame({"b": [[1], 2]}), 'column "b" mixes values of int and list'),
            (pd.DataFrame({"b": [object()]}), 'column "b" has object values'),
            (pd.DataFrame({"b": pd.Series(["x", None, math.nan], dtype=object)}), 'column "b" mixes None and NaN'),
            (pd.DataFrame({"l": [[1, 2]]}), 'values of column "l"'),
            (pd.DataFrame([[1, 2]], columns=["a", "a"]), "Duplicate column names"),
            (pl.DataFrame({"a": [object()]}), "cannot hold"),
        ]
        for value, why in refused:
            with self.subTest(why), self.assertRaisesRegex(NotSerialisable, why):
                encode({"x": [value]}, "result")

    def test_a_mixed_column_is_named_without_its_values(self) -> None:
        table = pd.DataFrame({"a": [1, 2], "price": pd.Series([7, "a secret"], dtype=object)})
        with self.assertRaises(NotSerialisable) as kept:
            encode(table, "result")
        self.assertEqual(
            str(kept.exception),
            'result is a table whose column "price" mixes values of int and str, which cannot be stored. '
            "Give each column one type.",
        )
        with self.assertRaises(NotData) as compared:
            hash_input('Task "load"', [table], PLAIN_HASHES)
        self.assertEqual(
            str(compared.exception),
            'Task "load": argument 1 is a table whose column "price" mixes values of int and str, which cannot be compared '
            "with another call's. Give each column one type. Pass plain data.",
        )


class Arrays(unittest.TestCase):
    def test_arrays_come_back_equal(self) -> None:
        for array in _arrays():
            with self.subTest(str(array.dtype)):
                read = _read(array)
                np.testing.assert_array_equal(array, read)
                self.assertEqual((array.dtype, array.shape), (read.dtype, read.shape))
                self.assertTrue(read.flags.writeable)
                self.assertEqual(hash_input("t", [read], PLAIN_HASHES), hash_input("t", [array], PLAIN_HASHES))

    def test_scalars_and_containers_of_arrays_come_back_equal(self) -> None:
        read = _read({"mean": np.float64(1.5), "split": (np.arange(3), pd.DataFrame({"a": [1]}))})
        self.assertIs(type(read["mean"]), np.float64)
        self.assertEqual(read["split"][0].tolist(), [0, 1, 2])
        weights = {"w": np.ones((2, 2), dtype="f4"), "b": np.arange(3)}
        self.assertEqual(encode(weights, "result").codec, "safetensors")
        self.assertEqual({name: one.dtype for name, one in _read(weights).items()}, {"w": "f4", "b": "i8"})

    def test_hashes_tell_types_shapes_and_bytes_apart(self) -> None:
        arrays = [np.arange(4), np.arange(4, dtype="i4"), np.arange(4).reshape(2, 2), np.arange(1, 5), np.arange(4.0)]
        self.assertEqual(len({hash_input("t", [one], PLAIN_HASHES) for one in arrays}), len(arrays))

    def test_objects_are_refused_when_written_and_when_read(self) -> None:
        objects = np.array([object(), 1], dtype=object)
        with self.assertRaisesRegex(NotSerialisable, "Python objects"):
            encode(objects, "result")
        with self.assertRaisesRegex(NotData, r"argument 1 is an array of Python objects.*astype\(float\)"):
            hash_input("t", [objects], PLAIN_HASHES)
        out = io.BytesIO()
        np.save(out, objects, allow_pickle=True)
        with self.assertRaises(StoreFault):
            decode(out.getvalue(), codec="npy", uri="memory:x")

    def test_damaged_arrays_are_refused(self) -> None:
        data = encode(np.arange(4), "result").data
        huge = data.replace(b"'shape': (4,), }", b"'shape': (9**9,)}"[:16])
        for damaged in (data[:-1], data + b"x", data[:20], b"", huge, data.replace(b"(4,)", b"(5,)")):
            with self.assertRaises(StoreFault):
                decode(damaged, codec="npy", uri="memory:x")
        tensors = encode({"a": np.arange(4)}, "result").data
        for damaged in (tensors[:-1], tensors + b"x", tensors[:9], b"", b"\xff" * 16, tensors.replace(b"[4]", b"[5]")):
            with self.assertRaises(StoreFault):
                decode(damaged, codec="safetensors", uri="memory:x")


class Bombs(unittest.TestCase):
    """Small files that become very large in memory are refused before they are decoded."""

    def refused(self, data: bytes, why: str) -> None:
        with self.assertRaisesRegex(StoreFault, why):
            decode(data, codec="parquet", uri="memory:x")

    def test_a_text_repeated_by_a_dictionary(self) -> None:
        out = io.BytesIO()
        index = pa.array(np.zeros(200_000, dtype="i4"))
        table = pa.table({"a": pa.DictionaryArray.from_arrays(index, pa.array(["x" * 500_000]))})
        schema = pa.schema([("a", pa.string())])
        with pq.ParquetWriter(out, table.schema, use_dictionary=True, store_schema=False) as writer:
            writer.write_table(table)
        self.assertLess(len(out.getvalue()), 1_000_000)
        self.assertEqual(pq.read_schema(io.BytesIO(out.getvalue())).types, schema.types)
        self.refused(out.getvalue(), "would need up to 100.0 GB of memory")

    def test_texts_written_as_prefixes_of_each_other(self) -> None:
        out = io.BytesIO()
        table = pa.table({"a": ["x" * 10_000] * 100})
        pq.write_table(table, out, use_dictionary=False, column_encoding={"a": "DELTA_BYTE_ARRAY"})
        self.refused(out.getvalue(), "prefixes of each other")

    def test_missing_lists_of_a_fixed_size(self) -> None:
        out = io.BytesIO()
        pq.write_table(pa.table({"a": pa.nulls(100_000, pa.list_(pa.float64(), 1))}), out)
        wide = pa.schema([("a", pa.list_(pa.float64(), 1_000_000))])
        import base64

        data = out.getvalue()
        old = pq.read_metadata(io.BytesIO(data)).metadata[b"ARROW:schema"]
        new = base64.b64encode(wide.serialize().to_pybytes())
        self.assertEqual(len(old), len(new))
        self.refused(data.replace(old, new), "GB of memory")

    def test_files_that_are_damaged_anywhere_never_end_the_process(self) -> None:
        data = bytearray(encode(pl.DataFrame({"a": [1, 2], "b": ["x", None]}), "result").data)
        for at in range(len(data)):
            broken = bytearray(data)
            broken[at] ^= 0xFF
            try:
                parquet_limits.facts_of(bytes(broken))
            except parquet_limits.ParquetFault:
                pass

    def test_a_file_of_another_compression_is_refused(self) -> None:
        out = io.BytesIO()
        pq.write_table(pa.table({"a": [1]}), out, compression="gzip")
        self.refused(out.getvalue(), "compressed in another way")

    def test_a_large_honest_table_is_kept(self) -> None:
        table = pl.DataFrame({"a": ["the same text"] * 3_000_000, "b": [1] * 3_000_000})
        self.assertTrue(table.equals(_read(table)))


class Customer(pydantic.BaseModel):
    name: str
    since: dt.date
    tags: list[str] = []
    alias: int = pydantic.Field(default=1, alias="aliasOf")


class Order(msgspec.Struct):
    customer: Customer
    prices: dict[str, decimal.Decimal]
    rows: pd.DataFrame | None = None


class Models(unittest.TestCase):
    def test_models_come_back_by_the_return_annotation(self) -> None:
        customer = Customer(name="a", since=dt.date(2026, 1, 1))
        order = Order(customer, {"x": decimal.Decimal("1.10")}, pd.DataFrame({"a": [1]}))
        for value, returns in ((customer, Customer), ([order], list[Order]), (order, Order | None)):
            encoded = encode_result(value, "result", lambda: returns)
            read = restored(decode(encoded.data, codec=encoded.codec, uri="memory:x"), returns)
            self.assertTrue(is_same(value, read))
            self.assertEqual(hash_input("t", [read], PLAIN_HASHES), hash_input("t", [value], PLAIN_HASHES))
        self.assertEqual(customer.model_fields_set, {"name", "since"})

    def test_a_model_with_more_state_is_refused(self) -> None:
        class Loose(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(extra="allow")
            x: int

        with self.assertRaisesRegex(NotSerialisable, "extra or private attributes"):
            encode_result(Loose.model_validate({"x": 1, "y": 2}), "result", lambda: Loose)


class Runs(unittest.TestCase):
    def test_a_table_and_its_hash_survive_an_attempt(self) -> None:
        @task
        def load() -> pd.DataFrame:
            return _frames()["filtered"]

        @task
        def total(rows: pd.DataFrame, weights: np.ndarray[Any, Any]) -> float:
            return float(rows.a.sum() + weights.sum())

        @task
        def last(value: float) -> float:
            return value

        @flow
        def body() -> float:
            return last(total(load(), np.arange(3)))

        run = run_flow(body, kill_after="total")
        resumed = run.resume()
        self.assertEqual((resumed.outcome, resumed.value), ("completed", 7.0))
        self.assertEqual(resumed.executions, {"load": 1, "total": 1, "last": 1})

    def test_a_model_is_refused_with_advice_and_the_run_goes_on(self) -> None:
        from sklearn.linear_model import LinearRegression

        @task
        def fit() -> LinearRegression:
            return LinearRegression().fit([[1], [2]], [1, 2])

        @task
        def score(model: LinearRegression) -> float:
            return float(model.coef_[0])

        @flow
        def body() -> float:
            return score.with_options(key="all")(fit())

        run = run_flow(body)
        self.assertAlmostEqual(run.value, 1.0)
        self.assertEqual(len(run.logs), 1)
        self.assertRegex(run.logs[0], 'task "fit" is not stored.*LinearRegression.*skops or ONNX')

    def test_tensors_come_back_equal_where_pytorch_is_installed(self) -> None:
        try:
            import torch
        except ImportError:
            self.skipTest("PyTorch is not installed")
        for value in (torch.arange(6).reshape(2, 3), torch.ones(2, dtype=torch.bfloat16), torch.zeros(0, 3)):
            read = _read(value)
            self.assertTrue(torch.equal(value, read) and value.dtype is read.dtype)
            self.assertEqual(hash_input("t", [read], PLAIN_HASHES), hash_input("t", [value], PLAIN_HASHES))
        self.assertEqual(list(_read({"w": torch.ones(2)})), ["w"])
        with self.assertRaisesRegex(NotSerialisable, "records gradients"):
            encode(torch.ones(2, requires_grad=True), "result")


if __name__ == "__main__":
    unittest.main()
