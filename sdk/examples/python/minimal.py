"""The run protocol (docs/reference/run-protocol.md) in its smallest form: log, save progress, end a run. `towpath_run.py` has more of it."""
import hashlib, http.client, json, os, socket, time, uuid
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

def request(method, path, body=None):
    """Tries again until the worker answers: after a restart it uses the same socket."""
    token = Path(os.environ["TOWPATH_TOKEN_FILE"]).read_text().strip()
    while True:
        gateway = http.client.HTTPConnection("gateway")
        gateway.sock = socket.socket(socket.AF_UNIX)
        try:
            gateway.sock.connect(os.environ["TOWPATH_SOCKET"])
            gateway.request(method, path, body, {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"})
            answer = gateway.getresponse()
            text = answer.read()
            if answer.status < 500:
                return json.loads(text) if answer.status == 200 else exit(f"{method} {path}: {text.decode()}")
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.2)

context = request("GET", "/context")
acked = context["acked"]

def report(**record):
    """Returns when the record is on the worker's disk. A repeated record counts once."""
    global acked
    at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    answer = request("POST", "/records", json.dumps({"seq": acked + 1, "at": at, **record}))
    acked = answer["acked"]
    return exit(answer["rejected"][0]["detail"]) if answer["rejected"] else None

def log(text, level="info"):
    report(type="log", level=level, text=text)

def save(name, value):
    """Writes a value into the store, through a temporary file. Returns its ref, which alone leaves the store."""
    data = json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    path = Path(url2pathname(urlparse(context["store"]["root"]).path), "runs", context["runId"], f"attempt-{context['attempt']}", f"{quote(name, safe='')}.{uuid.uuid4().hex}.json")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(f"{path}.tmp").write_bytes(data)
    os.replace(f"{path}.tmp", path)
    ref = {"uri": path.as_uri(), "codec": "json", "sizeBytes": len(data), "sha256": digest}
    report(type="kept", path=name, result=ref)
    return ref

def saved(name, found=None, after=""):
    """The value that earlier attempts, or the original of a rerun, saved last under the name. None if there is none."""
    while context["resume"]["earlier"] and after is not None:
        page = request("GET", f"/checkpoints?after={quote(after)}" if after else "/checkpoints")
        found, after = ([found] + [item["result"] for item in page["items"] if item["path"] == name])[-1], page["next"]
    return found and json.loads(Path(url2pathname(urlparse(found["uri"]).path)).read_text())

def end(outcome, **details):
    """Ends the run as `completed`, `failed` or `cancelled`, with an optional `error` or `result` (a ref). Exit after it."""
    report(type="outcome", outcome=outcome, **details)
