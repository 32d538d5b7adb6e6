"""A worker's run protocol (docs/reference/run-protocol.md) in Python's standard library. Copy this file beside your own.

    run = connect()                                   # None if no worker started the process
    with run.task("train"):
        run.progress("epochs", done=1, total=20)      # run.cancelled.is_set() after a cancellation
    run.end("completed", result=run.save("metrics", {"accuracy": 0.8}))
"""

import hashlib, http.client, json, os, socket, threading, time, uuid
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote, urlparse
from urllib.request import url2pathname


def connect():
    return Run() if "TOWPATH_SOCKET" in os.environ else None


class Gateway(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(os.environ["TOWPATH_SOCKET"])


class Run:
    def __init__(self):
        token = Path(os.environ["TOWPATH_TOKEN_FILE"]).read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
        self.context = self._ask("GET", "/context")
        self.reason, self.cancelled = "", threading.Event()
        self._seq, self._lock = self.context["acked"], threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _ask(self, method, path, body=None):
        """Tries again until the worker answers: after a restart it uses the same socket and ignores repeated records."""
        wait = 0.05
        while True:
            gateway = Gateway("gateway")
            try:
                gateway.request(method, path, body, self.headers)
                answer = gateway.getresponse()
                text = answer.read()
                if answer.status == 200:
                    return json.loads(text)
                if answer.status < 500:
                    raise RuntimeError(f"the worker refused {method} {path}: {text.decode()}")
            except (OSError, http.client.HTTPException):
                pass
            finally:
                gateway.close()
            time.sleep(wait)
            wait = min(2 * wait, 1)

    def _send(self, **record):
        """Returns when the record is on the worker's disk. One at a time: a later number would make an earlier one a repeat."""
        record["at"] = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self._lock:
            line = json.dumps({"seq": self._seq + 1, **record}, allow_nan=False)
            answer = self._ask("POST", "/records", line.encode())
            self._seq += 1
        if answer["rejected"]:
            raise ValueError(f"the worker rejected a record: {answer['rejected'][0]['detail']}")

    def _listen(self):
        cancel = None
        while cancel is None:
            cancel = self._ask("GET", "/commands?revision=0&waitMs=25000")["cancel"]
        self.reason = cancel["reason"]
        self.cancelled.set()

    def log(self, text, level="info"):
        sizes = {"stdout": os.fstat(1).st_size, "stderr": os.fstat(2).st_size}
        self._send(type="log", level=level, text=str(text), printed=sizes)

    def progress(self, key, done, total, unit="", title=""):
        self._send(type="artifact", key=key, title=title, body={"kind": "progress", "done": done, "total": total, "unit": unit})

    def table(self, key, columns, rows, title=""):
        self._send(type="artifact", key=key, title=title, body={"kind": "table", "columns": columns, "rows": rows})

    @contextmanager
    def task(self, name):
        """Reports a task around a block. The name is also the path, so use each name once."""
        moves = {"type": "task", "path": name, "name": name}
        self._send(**moves, move="queue", tries=0)
        self._send(**moves, move="begin", tries=1)
        try:
            yield
        except BaseException as error:
            self._send(**moves, move="cancel" if self.cancelled.is_set() else "fail", tries=1, error=describe(error))
            raise
        self._send(**moves, move="complete", tries=1)

    def save(self, name, value):
        """Writes a value as JSON into the customer's store. Returns its ref, which alone leaves the store."""
        data = json.dumps(value, allow_nan=False).encode()
        digest = hashlib.sha256(data).hexdigest()
        root = Path(url2pathname(urlparse(self.context["store"]["root"]).path))
        folder = root / "runs" / self.context["runId"] / f"attempt-{self.context['attempt']}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{quote(name, safe='')}.{uuid.uuid4().hex}.json"
        with open(f"{path}.tmp", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.tmp", path)
        return {"uri": path.as_uri(), "codec": "json", "sizeBytes": len(data), "sha256": digest}

    def end(self, outcome, error=None, result=None):
        """Ends the run as completed, failed or cancelled. Exit after it."""
        details = {"error": describe(error) if error else None, "result": result}
        self._send(type="outcome", outcome=outcome, **{name: value for name, value in details.items() if value is not None})


def describe(error):
    return {"name": type(error).__name__, "message": str(error)[:4096]}
