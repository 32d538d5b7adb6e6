"""Hashes that leave with a run: with keys, nobody without a key can guess a value."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tempfile
import unittest
from pathlib import Path

from towpath._internal.problem import StoreFault
from towpath._internal.store.codec import Ref, encode
from towpath._internal.store.file_store import FileStore
from towpath._internal.store.hashes import PLAIN_HASHES, Content, Hashes, hashes_of
from towpath._internal.store.padding import padded, rounded_size, unpadded
from towpath._internal.store.places import Place
from towpath._internal.store.written import Writing
from towpath._internal.task.input_hash import hash_input

from .vectors import vectors

_PLACE = Place("run", 1, "load:a", "result")


class Vectors(unittest.TestCase):
    def setUp(self) -> None:
        self.told = vectors("hashes")
        both: Hashes = hashes_of(self.told["keys"])
        self.kinds = {"keyed": both, "older": both.each[1], "plain": PLAIN_HASHES}

    def test_inputs(self) -> None:
        for case in self.told["inputs"]:
            for kind, hashes in self.kinds.items():
                with self.subTest(case["arguments"], kind=kind):
                    self.assertEqual(hash_input("t", json.loads(case["arguments"]), hashes), case[kind])

    def test_names(self) -> None:
        for case in self.told["names"]:
            for kind, hashes in self.kinds.items():
                with self.subTest(case["text"], kind=kind):
                    self.assertEqual(hashes.name(case["text"].encode()), case[kind])

    def test_contents(self) -> None:
        for case in self.told["contents"]:
            sha256 = hashlib.sha256(case["text"].encode()).hexdigest()
            content = Content(case["codec"], case["sizeBytes"], sha256, case["isPadded"])
            for kind, hashes in self.kinds.items():
                with self.subTest(case["text"], kind=kind):
                    self.assertEqual(hashes.content(content), case[kind])
            keyed = self.kinds["keyed"]
            self.assertTrue(keyed.is_content(case["keyed"], content))
            self.assertTrue(keyed.is_content(case["older"], content), "by an older key")
            self.assertFalse(self.kinds["older"].is_content(case["keyed"], content), "by a key that is gone")
            self.assertFalse(keyed.is_content(case["plain"], content), "without a key")
            for other in (content._replace(codec="bytes"), content._replace(size=1), content._replace(sha256="0" * 64)):
                self.assertFalse(keyed.is_content(case["keyed"], other))
            self.assertFalse(keyed.is_content(case["keyed"], content._replace(is_padded=not case["isPadded"])))

    def test_sizes(self) -> None:
        for case in self.told["sizes"]:
            self.assertEqual(rounded_size(case["bytes"]), case["rounded"])


class StoreKeys(unittest.TestCase):
    """What a worker derives from a store's key, made here by hand: RFC 5869 and RFC 2104."""

    def setUp(self) -> None:
        self.told = vectors("store-keys")

    def _derived(self, *info: str, size: int = 32) -> bytes:
        extracted = hmac.new(bytes(32), self.told["secret"].encode(), hashlib.sha256).digest()
        text = json.dumps(["towpath", *info], separators=(",", ":"))
        return hmac.new(extracted, text.encode() + b"\x01", hashlib.sha256).digest()[:size]

    def test_keys(self) -> None:
        self.assertEqual(self._derived("id", size=8).hex(), self.told["id"])
        for use in ("hash", "ref"):
            derived = base64.urlsafe_b64encode(self._derived(use, self.told["workspaceId"])).decode().rstrip("=")
            self.assertEqual(derived, self.told[f"{use}Key"])

    def test_macs_of_refs(self) -> None:
        for case in self.told["refs"]:
            content = case["sha256"][:32]
            told = [*case["owner"], case["uri"], case["codec"], case["sizeBytes"], content]
            text = json.dumps(told, separators=(",", ":"), ensure_ascii=False)
            mac = hmac.new(self._derived("ref", self.told["workspaceId"]), text.encode(), hashlib.sha256).hexdigest()
            self.assertEqual(content + mac[:32], case["signed"])

    def test_a_plain_hash_gets_the_key_at_the_worker(self) -> None:
        plain = self.told["plain"]
        own = hashes_of([self.told["hashKey"]])
        content = Content(plain["codec"], plain["sizeBytes"], plain["sha256"], False)
        self.assertEqual(own.content(content)[:32], plain["content"])


class Stores(unittest.TestCase):
    def setUp(self) -> None:
        self.keys = vectors("hashes")["keys"]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).as_uri()

    def _store(self, keys: list[str], round_sizes: bool = False) -> FileStore:
        return FileStore(self.root, Writing(hashes_of(keys), round_sizes))

    def test_no_part_of_a_ref_is_a_hash_of_the_value_alone(self) -> None:
        ref = self._store(self.keys).save(_PLACE, encode(42, "result"))
        plain = hashlib.sha256(b"42").hexdigest()
        self.assertNotIn(plain[:16], json.dumps(ref))
        self.assertEqual(self._store(self.keys).load(ref), 42)

    def test_a_value_of_an_older_key_is_read_and_one_of_no_known_key_is_not(self) -> None:
        first, second = self.keys
        ref = self._store([second]).save(_PLACE, encode("x", "result"))
        self.assertEqual(self._store([first, second]).load(ref), "x")
        for keys in ([first], []):
            with self.assertRaisesRegex(StoreFault, "not the saved one"):
                self._store(keys).load(ref)
        plain = self._store([]).save(_PLACE, encode("x", "result"))
        with self.assertRaisesRegex(StoreFault, "not the saved one"):
            self._store(self.keys).load(plain)

    def test_another_codec_or_size_is_not_the_saved_value(self) -> None:
        store = self._store(self.keys)
        ref = store.save(_PLACE, encode("42", "result"))
        changed: list[Ref] = [{**ref, "codec": "json"}, {**ref, "sizeBytes": 1}, {**ref, "sha256": "0" * 64}]
        for other in changed:
            with self.assertRaises(StoreFault):
                store.load(other)

    def test_rounded_sizes_tell_little_and_both_forms_are_read(self) -> None:
        for value in ("", "x", "y" * 1015, "z" * 5000, "w" * 300_000):
            ref = self._store(self.keys, True).save(_PLACE, encode(value, "result"))
            self.assertEqual(ref["sizeBytes"], rounded_size(len(value) + 8))
            plain = self._store(self.keys).save(_PLACE, encode(value, "result"))
            self.assertEqual(plain["sizeBytes"], len(value))
            for one in (ref, plain):
                for rounds in (True, False):
                    self.assertEqual(self._store(self.keys, rounds).load(one), value)

    def test_bytes_that_only_look_padded_are_the_value(self) -> None:
        value = padded(b"inner")
        for rounds in (True, False):
            ref = self._store(self.keys, rounds).save(_PLACE, encode(value, "result"))
            self.assertEqual(self._store(self.keys, not rounds).load(ref), value)

    def test_padding_is_undone_only_where_it_was_made(self) -> None:
        self.assertEqual(unpadded(padded(b"x" * 2000)), b"x" * 2000)
        for data in (b"", b"1234567", b"\xff" * 1024, padded(b"a")[1:], padded(b"a") + b"\x00"):
            self.assertIsNone(unpadded(data))


if __name__ == "__main__":
    unittest.main()
