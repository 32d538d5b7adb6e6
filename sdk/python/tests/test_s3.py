"""Requests to S3: signatures by AWS's published examples, retries, and parts."""

from __future__ import annotations

import hashlib
import re
import threading
import unittest
from collections.abc import Mapping
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

from towpath._internal.problem import StoreFault
from towpath._internal.store import bucket as buckets
from towpath._internal.store.codec import encode
from towpath._internal.store.places import Place
from towpath._internal.store.s3_store import S3Store
from towpath._internal.store.sign import Credentials, signed_headers

_EMPTY = hashlib.sha256(b"").hexdigest()
_HOST = {"host": "examplebucket.s3.amazonaws.com"}
# The example key of AWS's documentation, in two parts so that no scanner takes it for a real one.
_EXAMPLE = Credentials("AKIAIOSFODNN7" + "EXAMPLE", "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY", None)


def _signature(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], digest: str) -> str:
    signed = signed_headers(
        _EXAMPLE,
        region="us-east-1",
        at=datetime(2013, 5, 24, tzinfo=timezone.utc),
        method=method,
        path=path,
        query=query,
        headers={**_HOST, **headers},
        body_sha256=digest,
    )
    return signed["authorization"].rpartition("Signature=")[2]


class Signatures(unittest.TestCase):
    """The examples of "Authenticating Requests: Using the Authorization Header" in the S3 reference."""

    def test_published_examples(self) -> None:
        text = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
        more = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
        cases: list[tuple[str, str, dict[str, str], dict[str, str], str, str]] = [
            (
                "GET",
                "/test.txt",
                {},
                {"range": "bytes=0-9"},
                _EMPTY,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test$file.text",
                {},
                more,
                text,
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/",
                {"lifecycle": ""},
                {},
                _EMPTY,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/",
                {"prefix": "J", "max-keys": "2"},
                {},
                _EMPTY,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ]
        for method, path, query, headers, digest, expected in cases:
            with self.subTest(path + str(query)):
                self.assertEqual(_signature(method, path, query, headers, digest), expected)

    def test_a_session_token_is_signed(self) -> None:
        signed = signed_headers(
            Credentials("a", "b", "token"),
            region="r",
            at=datetime(2026, 1, 1, tzinfo=timezone.utc),
            method="GET",
            path="/x",
            query={},
            headers=_HOST,
            body_sha256=_EMPTY,
        )
        self.assertEqual(signed["x-amz-security-token"], "token")
        self.assertIn(";x-amz-security-token,", signed["authorization"])


class _Server:
    """A bucket in memory, whose answers a test can change."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[int, bytes] = {}
        self.requests: list[str] = []
        self.failing: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Quiet."""

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                path, _, query = self.path.partition("?")
                outer.requests.append(f"{self.command} {query.partition('=')[0]}".strip())
                outer.hold.wait(300)
                status, data = outer.answer(self.command, path, query, body, self.headers.get("range"))
                if status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.send_header("etag", '"tag"')
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = _any

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.access = {
            "endpoint": f"http://127.0.0.1:{self._http.server_address[1]}",
            "region": "r",
            "accessKeyId": "a",
            "secretAccessKey": "b",
            "sessionToken": None,
        }

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, method: str, path: str, query: str, body: bytes, part: str | None) -> tuple[int, bytes]:
        if self.failing:
            return self.failing.pop(0), b"<Error><Code>Slow</Code></Error>"
        if query == "uploads=":
            return 200, b"<R><UploadId>u&amp;1</UploadId></R>"
        number = re.search(r"partNumber=(\d+)", query)
        if number is not None:
            self.parts[int(number.group(1))] = body
            return 200, b""
        if method == "POST":
            self.objects[path] = b"".join(self.parts[one] for one in sorted(self.parts))
            return 200, b"<Done/>"
        if method == "PUT":
            self.objects[path] = body
            return 200, b""
        if method == "DELETE":
            return 204, b""
        data = self.objects.get(path)
        if data is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>"
        if part is None:
            return 200, data
        first, last = (int(one) for one in part.removeprefix("bytes=").split("-"))
        return (416, b"") if first >= len(data) else (206, data[first : last + 1])


class Store(unittest.TestCase):
    def setUp(self) -> None:
        self.server = _Server()
        self.addCleanup(self.server.close)
        self.store = S3Store("s3://bucket/some/prefix", self.server.access)
        fast = patch.object(buckets, "_RETRY_S", 0.001)
        fast.start()
        self.addCleanup(fast.stop)

    def _save(self, value: Any, name: str = "result") -> Any:
        return self.store.save(Place("r1", 1, "clean:aa#2/odd", name), encode(value, "result"))

    def test_values_come_back_and_others_are_refused(self) -> None:
        ref = self._save({"a": [1, "ü"]})
        self.assertRegex(ref["uri"], r"^s3://bucket/some/prefix/runs/r1/attempt-1/clean@aa\+2/odd/result\.")
        self.assertEqual(self.store.load(ref), {"a": [1, "ü"]})
        changed = [
            ({**ref, "sha256": "0" * 64}, "not the saved one"),
            ({**ref, "sizeBytes": 3}, "it is larger"),
            ({**ref, "uri": ref["uri"] + "x"}, "no value at"),
            ({**ref, "uri": "s3://other/x"}, "outside of the store"),
            ({**ref, "uri": "s3://bucket/some/prefix/../x"}, "outside of the store"),
            ({**ref, "uri": "file:///etc/passwd"}, "outside of the store"),
        ]
        for other, why in changed:
            with self.subTest(why), self.assertRaisesRegex(StoreFault, why):
                self.store.load(other)

    def test_values_of_several_threads_share_an_object(self) -> None:
        self.server.hold.clear()
        refs: dict[int, Any] = {}
        threads = [threading.Thread(target=lambda n=n: refs.update({n: self._save({"n": n})})) for n in range(20)]
        for thread in threads:
            thread.start()
        # The first writes alone. All others wait for it.
        while len(self.store._waiting) < len(threads) - 1:
            threading.Event().wait(0.001)
        self.server.hold.set()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.server.requests), 2)
        self.assertEqual([self.store.load(refs[n]) for n in range(20)], [{"n": n} for n in range(20)])
        self.assertEqual(sum(1 for one in self.server.requests if one == "GET"), 2)

    def test_a_failed_pack_fails_every_value_in_it(self) -> None:
        self.server.failing = [403]
        with self.assertRaisesRegex(StoreFault, "refused PUT.*Slow, status 403.*Check the credentials"):
            self._save(1)
        self.assertEqual(self.store.load(self._save(2)), 2)

    def test_requests_are_repeated_after_errors_that_pass(self) -> None:
        self.server.failing = [503, 0, 500]
        self.assertEqual(self.store.load(self._save("x")), "x")
        self.server.failing = [503] * 9
        with self.assertRaisesRegex(StoreFault, "refused PUT.*Check the store's log"):
            self._save("x")

    def test_a_missing_bucket_and_a_missing_server_are_told_with_the_next_step(self) -> None:
        self.server.failing = [404]
        with self.assertRaisesRegex(StoreFault, 'no bucket "bucket".*Create it'):
            self._save("x")
        away = S3Store("s3://bucket/x", {**self.server.access, "endpoint": "http://127.0.0.1:1"})
        with self.assertRaisesRegex(StoreFault, "does not answer.*Check its endpoint"):
            away.save(Place("r1", 1, "", "x"), encode(1, "x"))

    def test_large_values_are_written_and_read_in_parts(self) -> None:
        with patch.object(buckets, "_MULTIPART_BYTES", 300_000), patch.object(buckets, "_PART_BYTES", 100_000):
            value = bytes(range(256)) * 2000
            ref = self._save(value)
            self.assertEqual(sorted(self.server.parts), [1, 2, 3, 4, 5, 6])
            self.server.failing = [503]
            self.assertEqual(self.store.load(ref), value)
            with self.assertRaisesRegex(StoreFault, "larger|not the saved one"):
                self.store.load({**ref, "sizeBytes": 400_000})
            with self.assertRaisesRegex(StoreFault, "not the saved one"):
                self.store.load({**ref, "sizeBytes": 600_000})

    def test_an_upload_that_fails_is_removed(self) -> None:
        with patch.object(buckets, "_MULTIPART_BYTES", 300_000), patch.object(buckets, "_PART_BYTES", 100_000):
            original = self.server.answer

            def answer(method: str, path: str, query: str, body: bytes, part: str | None) -> tuple[int, bytes]:
                return (403, b"") if "partNumber=3" in query else original(method, path, query, body, part)

            self.server.answer = answer  # type: ignore[method-assign]
            with self.assertRaisesRegex(StoreFault, "status 403"):
                self._save(bytes(500_000))
            self.assertEqual(self.server.requests[-1], "DELETE uploadId")

    def test_named_values_are_replaced(self) -> None:
        for value in (1, 2):
            self.store.save_as("cache/a/b", encode(value, "x"), saved_at="2026-01-01T00:00:00.000Z", run_id="r")
        found = self.store.find("cache/a/b")
        assert found is not None
        self.assertEqual(self.store.load(found.ref), 2)
        self.assertIsNone(self.store.find("cache/a/c"))


if __name__ == "__main__":
    unittest.main()
