"""Signatures of requests to S3: AWS Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """An access key. `session_token` belongs to temporary ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None


def escaped_path(path: str) -> str:
    """A path as it is sent and signed."""
    return quote(path, safe="/-_.~", errors="surrogatepass")


def query_text(query: Mapping[str, str]) -> str:
    """A query as it is sent and signed: sorted by name."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed_headers(
    credentials: Credentials,
    *,
    region: str,
    at: datetime,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body_sha256: str,
) -> dict[str, str]:
    """The headers of a request, with its signature.

    Args:
        at: the time of the request, in UTC.
        path: not escaped.
        headers: all that count, `host` too.
    """
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    told = {name.lower(): value for name, value in headers.items()}
    told.update({"x-amz-date": stamp, "x-amz-content-sha256": body_sha256})
    if credentials.session_token is not None:
        told["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(told))
    lines = "".join(f"{name}:{' '.join(told[name].split())}\n" for name in sorted(told))
    request = "\n".join((method, escaped_path(path), query_text(query), lines, names, body_sha256))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (stamp[:8], region, "s3", "aws4_request"):
        key = _hmac(key, part)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    told["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return told
