"""Pure parts of the engine, by the test vectors."""

from __future__ import annotations

import re
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from towpath._internal.cache.task_cache import Cache, _name_of
from towpath._internal.keep.alike import draw_of, random_of, uuid_of
from towpath._internal.problem import InvalidDefinition, StoreFault, TaskIdentityUnknown
from towpath._internal.store.codec import decode, encode
from towpath._internal.store.file_store import FileStore
from towpath._internal.store.hashes import PLAIN_HASHES
from towpath._internal.store.named import read_entry
from towpath._internal.store.places import Place, safe_part
from towpath._internal.store.typed_json import UNDEFINED, from_typed_json, to_typed_json
from towpath._internal.task.durations import ms_of
from towpath._internal.task.identity import NO_KEY, CallKey, CallLedger, kept_path, mapped_path
from towpath._internal.task.input_hash import hash_input
from towpath._internal.task.options import TaskOptions
from towpath._internal.task.retry import retry_delay_ms

from .vectors import FOLDER, vectors


def _hash(value: object) -> str:
    return hash_input("t", [value], PLAIN_HASHES)


def _bytes_of(case: dict[str, Any]) -> bytes:
    text = bytes.fromhex(case["textHex"]) if "textHex" in case else case["text"].encode("utf-8", "surrogatepass")
    return text + b"\0" + bytes.fromhex(case["bytes"]) if "bytes" in case else text


class Paths(unittest.TestCase):
    def _same(self, want: str | None, made: Any) -> None:
        if want is None:
            self.assertRaises(TaskIdentityUnknown, made)
        else:
            self.assertEqual(made(), want)

    def test_calls(self) -> None:
        for case in vectors("paths")["calls"]:
            call = case["call"]
            key = CallKey("given", call["key"]) if "key" in call else NO_KEY
            with self.subTest(case["name"]):
                self._same(
                    case["path"],
                    lambda case=case, call=call, key=key: (
                        CallLedger(case["parent"]).name(call["name"], key, call["kind"]).path
                    ),
                )

    def test_kept_values(self) -> None:
        for case in vectors("paths")["kept"]:
            with self.subTest(case["path"]):
                self._same(case["path"], lambda case=case: kept_path(case["parent"], case["name"], PLAIN_HASHES))

    def test_calls_of_a_map(self) -> None:
        for case in vectors("paths")["mapped"]:
            with self.subTest(case["path"]):
                self._same(
                    case["path"],
                    lambda case=case: mapped_path(
                        case["map"],
                        index=case["index"],
                        key=case["key"],
                        ordinal=case["ordinal"],
                        hashes=PLAIN_HASHES,
                    ),
                )


class Draws(unittest.TestCase):
    def test_vectors(self) -> None:
        for case in vectors("draws")["cases"]:
            with self.subTest(case["path"]):
                draw = draw_of(case["origin"], case["path"])
                self.assertEqual(random_of(draw), case["random"])
                self.assertEqual(str(uuid_of(draw)), case["uuid"])


class Delays(unittest.TestCase):
    def test_vectors(self) -> None:
        for case in vectors("retry-delays")["cases"]:
            with self.subTest(case["name"]):
                delay = case.get("delayMs")
                seconds = [one / 1000 for one in delay] if isinstance(delay, list) else delay
                options = TaskOptions(
                    "t",
                    retry_delay=seconds / 1000 if isinstance(seconds, (int, float)) else seconds,
                    retry_jitter=case.get("jitter"),
                )
                ms = retry_delay_ms(options, tries=case["tries"], error=ValueError(), random=lambda: case["random"])
                self.assertEqual(ms, case["ms"])


class Durations(unittest.TestCase):
    def test_vectors(self) -> None:
        for case in vectors("durations")["cases"]:
            with self.subTest(case["text"]):
                if case["ms"] is None:
                    self.assertRaises(InvalidDefinition, ms_of, "timeout", case["text"])
                else:
                    self.assertEqual(ms_of("timeout", case["text"]), case["ms"])


class Places(unittest.TestCase):
    def test_parts(self) -> None:
        for case in vectors("places")["parts"]:
            with self.subTest(case["name"]):
                self.assertEqual(safe_part(case["name"]), case["part"])

    def test_values(self) -> None:
        for case in vectors("places")["values"]:
            with self.subTest(case["path"]):
                place = case["place"]
                own = Place(place["runId"], place["attempt"], place["task"], place["name"])
                self.assertEqual(own.path_of(encode(case["text"], "v")), case["path"])


class TypedJson(unittest.TestCase):
    def test_reads(self) -> None:
        for case in vectors("typed-json")["reads"]:
            with self.subTest(case["name"]):
                want = case["hashes"]["python"] if "hashes" in case else case["hash"]
                self.assertEqual(_hash(from_typed_json(_bytes_of(case), UNDEFINED)), want)

    def test_what_is_read_is_written_again_and_read_as_the_same(self) -> None:
        for case in vectors("typed-json")["reads"]:
            with self.subTest(case["name"]):
                value = from_typed_json(_bytes_of(case))
                self.assertEqual(_hash(from_typed_json(to_typed_json(value, "v"))), _hash(value))
                encoded = encode(value, "v")
                self.assertEqual(encoded.codec, case.get("codec", encoded.codec))
                self.assertEqual(_hash(decode(encoded.data, codec=encoded.codec, uri="v")), _hash(value))

    def test_refusals(self) -> None:
        for case in vectors("typed-json")["refused"]:
            with self.subTest(case["name"]), self.assertRaises(StoreFault):
                decode(_bytes_of(case), codec="typed", uri="v")


class Packs(unittest.TestCase):
    def test_loads(self) -> None:
        case = vectors("packs")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, case["file"])
            path.parent.mkdir(parents=True)
            path.write_bytes(bytes.fromhex(case["bytes"]))
            store = FileStore(Path(folder).as_uri())
            for load in case["loads"]:
                with self.subTest(load["name"]):
                    ref: Any = {**load, "uri": f"{Path(folder).as_uri()}/{load['uri']}"}
                    if load["hash"] is None:
                        self.assertRaises(StoreFault, store.load, ref)
                    else:
                        self.assertEqual(_hash(store.load(ref)), load["hash"])


class Caches(unittest.TestCase):
    def test_names(self) -> None:
        for case in vectors("cache")["names"]:
            with self.subTest(case["name"]):
                by = [one if isinstance(one, str) else (lambda *_, one=one: one["key"]) for one in case["by"]]
                told = from_typed_json(case["arguments"].encode())
                host = SimpleNamespace(facts=SimpleNamespace(deployment=case["deployment"]))
                call: Any = SimpleNamespace(
                    scope=SimpleNamespace(run=SimpleNamespace(host=host)),
                    options=SimpleNamespace(name=case["task"]),
                    told=lambda told=told: told,
                    fn=SimpleNamespace(args=tuple(told), keywords={}),
                )
                name = _name_of(call, Cache(by=tuple(by)), case["codeVersion"], PLAIN_HASHES)
                self.assertEqual(name, case["entry"])

    def test_entries(self) -> None:
        for case in vectors("cache")["entries"]:
            with self.subTest(case["name"]):
                self.assertEqual(read_entry(case["text"].encode()) is not None, case["isRead"])


class EveryFile(unittest.TestCase):
    def test_every_file_of_vectors_is_run(self) -> None:
        tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
        files = {path.stem for path in FOLDER.glob("*.json")}
        self.assertEqual(files, set(re.findall(r'vectors\("([a-z-]+)"\)', tests)))


if __name__ == "__main__":
    unittest.main()
