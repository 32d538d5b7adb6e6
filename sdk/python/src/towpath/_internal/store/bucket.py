"""Signed requests to a bucket of a store that speaks S3, with retries."""

from __future__ import annotations

import hashlib
import http.client
import re
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..clock import SYSTEM_CLOCK
from ..problem import StoreFault
from .sign import Credentials, escaped_path, query_text, signed_headers

_REQUEST_S = 120
_RETRIES = 3
_RETRY_S = 0.2
_PART_BYTES = 16 * 1024**2
"""Larger objects are written and read in parts of this size, so that a broken connection repeats only one."""
_MULTIPART_BYTES = 64 * 1024**2
_PARTS_MAX = 10_000
_ANSWER_BYTES_MAX = 1024**2
_BUSY = (408, 429, 500, 502, 503, 504)
_LOCATION = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
_ENTITIES = {"&quot;": '"', "&apos;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&"}


class Answer(NamedTuple):
    """A server's answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def location_of(root: str) -> tuple[str, str]:
    """The bucket and prefix of `s3://bucket/prefix`. @raises StoreFault"""
    found = _LOCATION.fullmatch(root)
    if found is None:
        raise StoreFault(f"{root} is not a location in a bucket: write s3://bucket/prefix.")
    return found.group(1), (found.group(2) or "").strip("/")


def _text_in(xml: bytes, tag: str) -> str:
    found = re.search(f"<{tag}>([^<]*)</{tag}>", xml.decode("utf-8", "replace"))
    text = "" if found is None else found.group(1)
    for entity, char in _ENTITIES.items():
        text = text.replace(entity, char)
    return text


class _Broken(Exception):
    """A connection broke, or nobody answers."""


class Bucket:
    """One bucket. Safe for several threads: each has a connection of its own."""

    def __init__(self, name: str, access: Mapping[str, Any]) -> None:
        """@param access Of the run's context: region, keys, and the endpoint of a store outside of AWS."""
        self.name = name
        self._region = access["region"]
        self._credentials = Credentials(
            access["accessKeyId"], access["secretAccessKey"], access.get("sessionToken") or None
        )
        endpoint = access.get("endpoint")
        # With an endpoint, the bucket is in the path, which every server understands. At AWS it is in the host name.
        base = urlsplit(endpoint or f"https://{name}.s3.{self._region}.amazonaws.com")
        if base.scheme not in ("http", "https") or base.hostname is None:
            raise StoreFault(f"{endpoint} is not the address of a store.", next="Write http:// or https:// and a host.")
        self._is_tls = base.scheme == "https"
        self._host, self._port = base.hostname, base.port
        self._netloc = base.netloc.rpartition("@")[2]
        self._base = base.path.rstrip("/") + (f"/{name}" if endpoint else "")
        self._own = threading.local()

    # Objects

    def put(self, path: str, data: bytes) -> None:
        """Writes an object completely or not at all. @raises StoreFault"""
        if len(data) > _MULTIPART_BYTES:
            self._put_in_parts(path, data)
            return
        self._must_exist(self.send("PUT", path, body=data))

    def get(self, path: str, most_bytes: int, uri: str) -> bytes:
        """Reads an object. @raises StoreFault if there is none, or a larger one"""
        if most_bytes <= _MULTIPART_BYTES:
            return self._found(self.send("GET", path, most_bytes=most_bytes, uri=uri), uri)
        pieces: list[bytes] = []
        done = 0
        while done <= most_bytes:
            # One byte more than expected, so that a larger object is noticed.
            last = min(done + _PART_BYTES, most_bytes + 1) - 1
            headers = {"range": f"bytes={done}-{last}"}
            answer = self.send("GET", path, headers=headers, most_bytes=most_bytes, uri=uri)
            if answer.status == 416:
                break
            pieces.append(self._found(answer, uri))
            done += len(pieces[-1])
            if answer.status == 200 or len(pieces[-1]) < last + 1 - (done - len(pieces[-1])):
                break
        if done > most_bytes:
            raise _larger(uri)
        return b"".join(pieces)

    def size_of(self, path: str) -> int | None:
        """The size of an object, bytes. None: there is none. @raises StoreFault"""
        answer = self.send("HEAD", path)
        return None if answer.status == 404 else int(answer.headers.get("content-length", "-1"))

    def _found(self, answer: Answer, uri: str) -> bytes:
        if answer.status == 404:
            raise StoreFault(f"There is no value at {uri}.")
        return answer.body

    def _must_exist(self, answer: Answer) -> Answer:
        if answer.status == 404:
            raise StoreFault(
                f'There is no bucket "{self.name}".',
                next="Create it, or correct store.root in the worker's configuration.",
            )
        return answer

    def _put_in_parts(self, path: str, data: bytes) -> None:
        begun = self._must_exist(self.send("POST", path, query={"uploads": ""}, body=b""))
        upload = {"uploadId": _text_in(begun.body, "UploadId")}
        size = max(_PART_BYTES, -(-len(data) // _PARTS_MAX))
        view = memoryview(data)
        try:
            parts: list[str] = []
            for number, at in enumerate(range(0, len(data), size), 1):
                query = {**upload, "partNumber": str(number)}
                answer = self._must_exist(self.send("PUT", path, query=query, body=view[at : at + size]))
                tag = answer.headers.get("etag", "").replace("&", "&amp;").replace("<", "&lt;")
                parts.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
            body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
            ended = self._must_exist(self.send("POST", path, query=upload, body=body))
            if b"<Error>" in ended.body:
                raise StoreFault(f'The store refused to join the parts of a value in the bucket "{self.name}".')
        except BaseException:
            try:
                self.send("DELETE", path, query=upload)
            except StoreFault:
                # The bucket's rule for unfinished uploads removes them.
                pass
            raise

    # Requests

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview | None = None,
        most_bytes: int = _ANSWER_BYTES_MAX,
        uri: str = "",
    ) -> Answer:
        """One request, with retries. @returns an answer with status 2xx, 404 or 416. @raises StoreFault for others"""
        digest = hashlib.sha256(b"" if body is None else body).hexdigest()
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._once(method, path, query or {}, headers or {}, body, digest, most_bytes, uri)
                if answer.status not in _BUSY or tries > _RETRIES:
                    break
            except _Broken as broken:
                if tries > _RETRIES:
                    raise StoreFault(
                        f'The store of bucket "{self.name}" does not answer: {broken}.',
                        next="Check its endpoint in the worker's configuration, and the network.",
                    ) from broken
            threading.Event().wait(_RETRY_S * 2 ** (tries - 1))
        if answer.status // 100 == 2 or answer.status in (404, 416):
            return answer
        code = _text_in(answer.body, "Code")
        said = f"{code}, status {answer.status}" if re.fullmatch(r"[\w.-]{1,100}", code) else f"status {answer.status}"
        refused = answer.status in (401, 403)
        raise StoreFault(
            f'The store refused {method} in the bucket "{self.name}": {said}.',
            next="Check the credentials in the worker's configuration, and their permissions for that bucket."
            if refused
            else "Check the store's log. Retry the run when the store answers again.",
        )

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | memoryview | None,
        digest: str,
        most_bytes: int,
        uri: str,
    ) -> Answer:
        whole = f"{self._base}/{path}"
        signed = signed_headers(
            self._credentials,
            region=self._region,
            at=datetime.fromtimestamp(SYSTEM_CLOCK.now_ms() / 1000, timezone.utc),
            method=method,
            path=whole,
            query=query,
            headers={"host": self._netloc, **headers},
            body_sha256=digest,
        )
        if body is not None:
            signed["content-length"] = str(len(body))
        text = query_text(query)
        target = escaped_path(whole) + (f"?{text}" if text else "")
        connection = self._connection()
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in signed.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            # An error is short. Of a value, one byte more than expected tells that it is another one.
            limit = most_bytes + 1 if response.status // 100 == 2 else _ANSWER_BYTES_MAX
            data = response.read(limit) if limit > 0 else b""
            if response.status // 100 == 2 and len(data) > most_bytes:
                raise _larger(uri)
            told = {name.lower(): value for name, value in response.getheaders()}
            if not response.isclosed() and (response.read(1) or response.will_close):
                self._forget()
            return Answer(response.status, told, data)
        except (OSError, http.client.HTTPException) as cause:
            self._forget()
            raise _Broken(str(cause) or type(cause).__name__) from cause
        except BaseException:
            self._forget()
            raise

    def _connection(self) -> http.client.HTTPConnection:
        known: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if known is not None:
            return known
        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        made = kind(self._host, self._port, timeout=_REQUEST_S)
        self._own.connection = made
        return made

    def _forget(self) -> None:
        known = getattr(self._own, "connection", None)
        self._own.connection = None
        if known is not None:
            known.close()


def _larger(uri: str) -> StoreFault:
    return StoreFault(f"The value at {uri} is not the saved one: it is larger.")
