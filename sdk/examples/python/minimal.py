"""The run protocol (docs/reference/run-protocol.md) in little: log, save progress, end a run. `towpath_run.py` does more of it."""
import hashlib, http.client, json, os, socket, time
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

def ask(method, path, body=None):
    """Asks for as long as it takes: a worker that restarts comes back at the same socket."""
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

context = ask("GET", "/context")
acked = context["acked"]

def tell(**record):
    """Returns when the record is on the worker's disk. One sent twice is taken once."""
    global acked
    at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    answer = ask("POST", "/records", json.dumps({"seq": acked + 1, "at": at, **record}))
    acked = answer["acked"]
    return exit(answer["rejected"][0]["detail"]) if answer["rejected"] else None

def log(text, level="info"):
    tell(type="log", level=level, text=text)

def save(name, value):
    """Writes a value into the store, aside and then under its name. Only the ref that it answers leaves."""
    data = json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    path = Path(url2pathname(urlparse(context["store"]["root"]).path), "runs", context["runId"], f"attempt-{context['attempt']}", f"{quote(name, safe='')}.{digest[:16]}.json")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(f"{path}.tmp").write_bytes(data)
    os.replace(f"{path}.tmp", path)
    ref = {"uri": path.as_uri(), "codec": "json", "sizeBytes": len(data), "sha256": digest}
    tell(type="kept", path=name, result=ref)
    return ref

def saved(name, found=None, after=""):
    """What earlier attempts of the run, or of the one it is a rerun of, saved last under the name; None: nothing."""
    while context["resume"]["earlier"] and after is not None:
        page = ask("GET", f"/checkpoints?after={quote(after)}" if after else "/checkpoints")
        found, after = ([found] + [item["result"] for item in page["items"] if item["path"] == name])[-1], page["next"]
    return found and json.loads(Path(url2pathname(urlparse(found["uri"]).path)).read_text())

def end(outcome, **told):
    """`completed`, `failed` or `cancelled`, with an `error` or a `result` (a ref), if there is one. Exit after it."""
    tell(type="outcome", outcome=outcome, **told)
