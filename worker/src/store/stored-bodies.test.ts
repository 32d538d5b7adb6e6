import { createHash } from "node:crypto";
import {
  chmod,
  mkdir,
  mkdtempDisposable,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  LIMITS,
  newWorkspaceKey,
  ORIGINS,
  STORED_FILE_CHARS,
  StoredContent,
  uuidv7,
} from "@towpath/contract";
import { roundedSize } from "@towpath/contract/words";
import { expect, test } from "vitest";
import { WorkerKeyring } from "../sealing/index.ts";
import { openBucket } from "./bucket.fixture.ts";
import { readStoredFile, StoreUnwritable, writeStored } from "./stored-bodies.ts";

const WORKSPACE = uuidv7(1);
const keyring = new WorkerKeyring([newWorkspaceKey()]);
const JSON_TEXT = JSON.stringify({ kind: "markdown", text: "Zürich" });

async function ground() {
  const home = await mkdtempDisposable(join(tmpdir(), "twp-bodies-"));
  const runId = uuidv7(Date.now());
  const run = { workspace: WORKSPACE, deployment: "churn@prod", runId };
  const store = { root: pathToFileURL(join(home.path, "store")).href };
  const file = (hash: string) => join(home.path, "store/runs", runId, "bodies", hash);
  const source = { keyring, workspace: WORKSPACE, store };
  return {
    home,
    run,
    runId,
    store,
    file,
    source,
    target: { keyring, store, run },
    [Symbol.asyncDispose]: () => home.remove(),
  };
}

function opened(sealed: string, runId: string): string {
  return keyring.unseal(sealed, { workspace: WORKSPACE, field: "artifact", origins: [ORIGINS.run(runId)] });
}

test("a body is sealed in a file of its own, beside the run's other values, and comes back", async () => {
  await using at = await ground();
  const { hash, bytes, store } = await writeStored(at.target, "artifact", JSON_TEXT);
  expect(await readdir(dirname(at.file(hash)))).toEqual([hash]);
  const written = await readFile(at.file(hash), "utf8");
  expect(written).not.toContain("rich");
  expect({ hash, bytes }).toEqual({
    hash: createHash("sha256").update(written).digest("hex"),
    bytes: Buffer.byteLength(written),
  });
  expect((await stat(at.file(hash))).mode & 0o777).toBe(0o600);
  expect(store).toMatch(/^[0-9a-f-]{36}$/);
  const read = await readStoredFile(at.source, { runId: at.runId, hash });
  expect("sealed" in read && opened(read.sealed, at.runId)).toBe(JSON_TEXT);
});

test("the largest body fits what the control plane passes on, also with rounded sizes", async () => {
  await using at = await ground();
  for (const roundSizes of [false, true]) {
    const json = JSON.stringify("x".repeat(LIMITS.storedBytes - 2));
    const target = { ...at.target, store: { ...at.store, roundSizes } };
    const { hash, bytes } = await writeStored(target, "artifact", json);
    const read = await readStoredFile(at.source, { runId: at.runId, hash });
    expect(StoredContent.safeParse(read).success).toBe(true);
    expect(bytes).toBeLessThanOrEqual(STORED_FILE_CHARS);
    expect("sealed" in read && JSON.parse(opened(read.sealed, at.runId))).toHaveLength(
      LIMITS.storedBytes - 2,
    );
  }
  const sizes = new Set<number>();
  const rounding = { ...at.target, store: { ...at.store, roundSizes: true } };
  for (const chars of [1, 200, 900])
    sizes.add((await writeStored(rounding, "log", JSON.stringify(["x".repeat(chars)]))).bytes);
  expect(sizes.size).toBe(1);
  expect(roundedSize(LIMITS.storedBytes)).toBeGreaterThanOrEqual(LIMITS.storedBytes);
});

test("a file that is gone, changed, of another run, field or key is not sent", async () => {
  await using at = await ground();
  const { runId } = at;
  const ask = (hash: string, source = at.source, run = runId) => readStoredFile(source, { runId: run, hash });
  expect(await ask("0".repeat(64))).toEqual({ fault: "gone" });

  const { hash } = await writeStored(at.target, "artifact", JSON_TEXT);
  const other = uuidv7(Date.now());
  expect(await ask(hash, at.source, other)).toEqual({ fault: "gone" });
  const whole = await readFile(at.file(hash), "utf8");
  const moved = join(dirname(at.file(hash)), "../..", other, "bodies", hash);
  await mkdir(dirname(moved), { recursive: true });
  await writeFile(moved, whole);
  expect(await ask(hash, at.source, other)).toEqual({ fault: "foreign" });
  expect(await ask(hash, { ...at.source, workspace: uuidv7(2) })).toEqual({ fault: "foreign" });
  expect(await ask(hash, { ...at.source, keyring: new WorkerKeyring([newWorkspaceKey()]) })).toEqual({
    fault: "unknown-key",
  });

  const place = { workspace: WORKSPACE, deployment: "churn@prod", origin: ORIGINS.run(runId) };
  const plant = async (text: string) => {
    const name = createHash("sha256").update(text).digest("hex");
    await writeFile(at.file(name), text);
    return name;
  };
  expect(await ask(await plant(keyring.seal({ ...place, field: "parameters" }, "{}")))).toEqual({
    fault: "foreign",
  });
  expect(await ask(await plant("root:x:0:0"))).toEqual({ fault: "damaged" });
  expect(await ask(await plant(`${whole.slice(0, -2)}AA`))).toEqual({ fault: "damaged" });
  await writeFile(at.file(hash), `${whole}x`);
  expect(await ask(hash)).toEqual({ fault: "damaged" });
  await truncate(at.file(hash), STORED_FILE_CHARS + 1);
  expect(await ask(hash)).toEqual({ fault: "damaged" });
});

test("a link or a folder with the name of a body is not read", async () => {
  await using at = await ground();
  const { hash } = await writeStored(at.target, "artifact", JSON_TEXT);
  const whole = await readFile(at.file(hash), "utf8");
  await rm(at.file(hash));
  await writeFile(join(at.home.path, "elsewhere"), whole);
  await symlink(join(at.home.path, "elsewhere"), at.file(hash));
  await expect(readStoredFile(at.source, { runId: at.runId, hash })).rejects.toThrow(/ELOOP|too many/);
  await rm(at.file(hash));
  await mkdir(at.file(hash));
  expect(await readStoredFile(at.source, { runId: at.runId, hash })).toEqual({ fault: "damaged" });
});

test("a store that takes nothing says why, without a path", async () => {
  await using at = await ground();
  await writeStored(at.target, "artifact", JSON_TEXT);
  const folder = join(at.home.path, "store/runs", at.runId, "bodies");
  await rm(folder, { recursive: true });
  await writeFile(folder, "in the way");
  const refused = writeStored(at.target, "artifact", JSON_TEXT);
  await expect(refused).rejects.toThrow(StoreUnwritable);
  await expect(refused).rejects.toThrow(/^The store did not take it: (EEXIST|ENOTDIR)\.$/);
  await rm(join(at.home.path, "store"), { recursive: true });
  await writeFile(join(at.home.path, "store"), "in the way");
  await expect(writeStored(at.target, "artifact", JSON_TEXT)).rejects.toThrow("The store cannot be reached.");
  await chmod(at.home.path, 0o700);
});

test("in a bucket a body is below the run's prefix, and one that is too large is not read to its end", async () => {
  await using bucket = await openBucket();
  const { store, objects } = bucket;
  const runId = uuidv7(Date.now());
  const run = { workspace: WORKSPACE, deployment: "churn", runId };
  const { hash } = await writeStored({ keyring, store, run }, "log", JSON.stringify(["one", "two"]));
  const path = `/values/of%20flows/runs/${runId}/bodies/${hash}`;
  expect(objects.has(path)).toBe(true);
  const source = { keyring, workspace: WORKSPACE, store };
  expect(await readStoredFile(source, { runId, hash })).toEqual({ sealed: objects.get(path) });
  expect(await readStoredFile(source, { runId, hash: "1".repeat(64) })).toEqual({ fault: "gone" });
  objects.set(path, "x".repeat(STORED_FILE_CHARS + 1));
  expect(await readStoredFile(source, { runId, hash })).toEqual({ fault: "damaged" });
});
