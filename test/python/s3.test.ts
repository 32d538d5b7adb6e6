import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { s3Objects } from "../../sdk/flow/src/store/s3-store.ts";
import { storeOver } from "../../sdk/flow/src/store/store.ts";
import { findVersitygw, type S3Server, startS3 } from "../harness/index.ts";
import { hasPython } from "./interpreters.ts";

const SOURCES = fileURLToPath(new URL("../../sdk/python/src", import.meta.url));
const program = findVersitygw();

const CODE = `
import json, sys, threading
from towpath._internal.problem import StoreFault
from towpath._internal.store.codec import encode
from towpath._internal.store.places import Place
from towpath._internal.store.s3_store import S3Store

asked = json.load(sys.stdin)
store = S3Store(asked["root"], asked["access"])
place = Place("r-python", 1, "clean:aa#2/odd + name%/~'(x)*", "mödel")
refs = {}

def save(name, value):
    refs[name] = store.save(place._replace(name=name), encode(value, name))

save("text", "ü")
save("json", {"a": [1, "ü"]})
save("typed", {"when": (1, b"bytes")})
save("large", bytes(9_000_000))
save("parts", b"0123456789abcdef" * 5_000_000)
threads = [threading.Thread(target=save, args=(f"small {n}", {"n": n})) for n in range(50)]
for one in threads: one.start()
for one in threads: one.join()
assert store.load(refs["parts"]) == b"0123456789abcdef" * 5_000_000
assert [store.load(refs[f"small {n}"])["n"] for n in range(50)] == list(range(50))
named = store.save_as("cache/a/b", encode([1], "x"), saved_at="2026-01-01T00:00:00.000Z", run_id="r")
assert store.load(store.find("cache/a/b").ref) == [1] and store.find("cache/a/c") is None
wrong = S3Store(asked["root"], {**asked["access"], "secretAccessKey": "wrong"})
missing = S3Store("s3://no-such-bucket/x", asked["access"])
said = []
for one in (wrong, missing):
    try: one.save(place, encode(1, "x"))
    except StoreFault as fault: said.append(str(fault))
read = [store.load(ref) for ref in asked["refs"]]
print(json.dumps({"refs": refs, "said": said, "read": read}))
`;

async function runPython(told: unknown): Promise<string> {
  const env = { PATH: process.env.PATH, PYTHONPATH: SOURCES, PYTHONDONTWRITEBYTECODE: "1" };
  const child = spawn("python3", ["-c", CODE], { env, stdio: ["pipe", "pipe", "pipe"] });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  child.once("error", reject);
  child.once("close", (code) => (code === 0 ? resolve(output) : reject(new Error(errors))));
  child.stdin.end(JSON.stringify(told));
  return await promise;
}

describe.skipIf(program === undefined || !hasPython)("a bucket as the store of Python flows", () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startS3(program ?? "");
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  test("holds values of both languages, in packs and in parts, and says what is wrong with an access", async () => {
    const store = storeOver(s3Objects(server.root, server.access));
    const place = { runId: "r-typescript", attempt: 1, task: "load", name: "value" };
    const own = [await store.save(place, { from: "TypeScript" }), await store.save(place, "text")];
    const { refs, said, read } = JSON.parse(
      await runPython({ root: server.root, access: server.access, refs: own }),
    );
    expect(read).toEqual([{ from: "TypeScript" }, "text"]);
    expect(await store.load(refs.text)).toBe("ü");
    expect(await store.load(refs.json)).toEqual({ a: [1, "ü"] });
    expect(await store.load(refs.typed)).toEqual({ when: [1, new TextEncoder().encode("bytes")] });
    expect(await store.load(refs["small 7"])).toEqual({ n: 7 });
    expect(refs.large.sizeBytes).toBe(9_000_000);
    expect(said[0]).toMatch(/refused PUT.*Check the credentials/s);
    expect(said[1]).toMatch(/no bucket "no-such-bucket"/);
  });
});
