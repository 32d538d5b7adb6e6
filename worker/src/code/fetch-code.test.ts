import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, renameSync } from "node:fs";
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  opendir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { wallClock } from "../host/clock.ts";
import { type CodeCache, openCodeCache } from "./code-cache.ts";
import { CODE_ERRORS, CodeError, type CodeErrorCode } from "./code-error.ts";
import { fetchCode } from "./fetch-code.ts";
import { GitServer } from "./git-server.fixture.ts";
import { TestLayout } from "./oci-layout.fixture.ts";
import { pruneCodeCache } from "./prune-code-cache.ts";
import { removeTree } from "./seal-tree.ts";

const RACER = fileURLToPath(new URL("./cache-racer.fixture.ts", import.meta.url));
const never = new AbortController().signal;
const children: ChildProcess[] = [];
let root: string;
let made = 0;
let layout: TestLayout;
let cache: CodeCache;
/** The trees that were found changed. */
let changed: string[];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-cache-"));
});
afterAll(() => removeTree(root));
beforeEach(async () => {
  layout = new TestLayout(join(root, `layout-${made++}`));
  changed = [];
  cache = await openCodeCache({
    dir: join(root, `cache-${made++}`),
    onChanged: (dir) => changed.push(dir),
  });
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function fetchDigest(digest: string, args: { from?: CodeCache; signal?: AbortSignal } = {}) {
  const source = { kind: "oci-layout", path: layout.dir } as const;
  return fetchCode(args.from ?? cache, { source, digest }, args.signal ?? never);
}

const putFile = (content: string) => layout.putCode([{ name: "f", content }]);

test("a hit needs no registry, also after the cache is opened again", async () => {
  const digest = await putFile("1");
  const first = await fetchDigest(digest);
  await rm(layout.dir, { recursive: true });
  const second = await fetchDigest(digest, { from: await openCodeCache({ dir: cache.dir }) });
  expect(second).toMatchObject({ dir: first.dir, cached: true });
  expect(await readFile(join(second.dir, "f"), "utf8")).toBe("1");
});

describe("a tree that was changed after it was fetched", () => {
  const changes: Record<string, (dir: string) => Promise<void>> = {
    "by writing to a file": async (dir) => {
      await chmod(join(dir, "f"), 0o644);
      await appendFile(join(dir, "f"), "evil");
    },
    "by writing as many bytes, with the time and mode set back": async (dir) => {
      const { mode, atime, mtime } = await stat(join(dir, "f"));
      await chmod(join(dir, "f"), 0o644);
      await writeFile(join(dir, "f"), "2");
      await chmod(join(dir, "f"), mode);
      await utimes(join(dir, "f"), atime, mtime);
    },
    "by a file more": async (dir) => {
      await chmod(dir, 0o755);
      await writeFile(join(dir, "package.json"), "{}");
    },
    "by a file less": async (dir) => {
      await chmod(dir, 0o755);
      await rm(join(dir, "f"));
    },
  };
  for (const [how, change] of Object.entries(changes)) {
    test(`${how} is fetched anew, and stays for those that run from it`, async () => {
      const digest = await putFile("1");
      const first = await fetchDigest(digest);
      const folder = await opendir(first.dir);
      await change(first.dir);
      const second = await fetchDigest(digest);
      expect(second).toMatchObject({ dir: first.dir, cached: false });
      expect(changed).toEqual([first.dir]);
      expect(await readdir(second.dir)).toEqual(["f"]);
      expect(await readFile(join(second.dir, "f"), "utf8")).toBe("1");
      expect(await fetchDigest(digest)).toMatchObject({ cached: true });
      expect(changed).toHaveLength(1);
      await folder.close();
    });
  }

  test("is not used when it cannot be fetched", async () => {
    const digest = await putFile("1");
    const { dir } = await fetchDigest(digest);
    await chmod(join(dir, "f"), 0o644);
    await rm(layout.dir, { recursive: true });
    await expect(fetchDigest(digest)).rejects.toMatchObject({ kind: "unavailable" });
    expect(changed).toEqual([dir]);
  });
});

test("a tree that appears after the look-up is used as it is, and not moved while others run from it", async () => {
  const digest = await putFile("1");
  const { dir } = await fetchDigest(digest);
  const before = await stat(dir);
  const away = `${dir}-away`;
  await chmod(dir, 0o755);
  await rename(dir, away);
  // A request that finds no tree asks next who fetches it. At that moment another one has just finished.
  const comes = () => {
    if (existsSync(away)) renameSync(away, dir);
  };
  class Fetching extends Map {
    override has(key: string) {
      comes();
      return super.has(key);
    }
    override get(key: string) {
      comes();
      return super.get(key);
    }
  }
  const from: CodeCache = { ...cache, fetching: new Fetching() };
  expect(await fetchDigest(digest, { from })).toMatchObject({ dir });
  expect(changed).toEqual([]);
  expect((await stat(dir)).ino).toBe(before.ino);
  expect(await fetchDigest(digest)).toMatchObject({ cached: true });
});

test("requests for one digest at the same time share one fetch", async () => {
  const digest = await putFile("1");
  const fetched = await Promise.all(Array.from({ length: 20 }, () => fetchDigest(digest)));
  expect(new Set(fetched.map(({ dir }) => dir)).size).toBe(1);
  expect(cache.fetching.size).toBe(0);
  expect(cache.users.size).toBe(1);
  for (const { release } of fetched) await release();
  expect(cache.users.size).toBe(0);
});

test("a failure reaches every caller, and the next request tries again", async () => {
  const digest = await putFile("1");
  const content = await readFile(layout.blobPath(digest));
  await writeFile(layout.blobPath(digest), "changed");
  const settled = await Promise.allSettled([fetchDigest(digest), fetchDigest(digest)]);
  for (const outcome of settled) expect(outcome).toMatchObject({ reason: { code: "digest-mismatch" } });
  await writeFile(layout.blobPath(digest), content);
  expect((await fetchDigest(digest)).cached).toBe(false);
});

describe("giving up", () => {
  /** A git server that delays every answer, and reports the first request and its end. */
  async function startStalling() {
    const asked = Promise.withResolvers<void>();
    const hungUp = Promise.withResolvers<void>();
    const server = await GitServer.serve((request) => {
      asked.resolve();
      request.socket.once("close", () => hungUp.resolve());
    });
    const request = { source: { kind: "git", url: `${server.url}/x` }, digest: "a".repeat(40) } as const;
    return { server, request, asked: asked.promise, hungUp: hungUp.promise };
  }

  test("a caller that gives up does not end the fetch for the others; the last one does", async () => {
    const { server, request, asked, hungUp } = await startStalling();
    const [one, two] = [new AbortController(), new AbortController()];
    const first = fetchCode(cache, request, one.signal);
    const second = fetchCode(cache, request, two.signal);
    await asked;
    one.abort(new Error("the first gave up"));
    await expect(first).rejects.toThrow("the first gave up");
    expect(cache.fetching.size).toBe(1);
    two.abort(new Error("the second too"));
    await expect(second).rejects.toThrow("the second too");
    await hungUp;
    expect(cache.fetching.size).toBe(0);
    expect(cache.users.size).toBe(0);
    await server.stop();
  });

  test("an aborted request does not even begin", async () => {
    await expect(fetchDigest(await putFile("1"), { signal: AbortSignal.abort() })).rejects.toThrow("abort");
    expect(cache.users.size).toBe(0);
  });
});

/** Starts a process that fetches into the shared cache. Resolves with its output. */
async function startRacer(digest: string): Promise<{ child: ChildProcess; dir: string }> {
  const child = spawn(process.execPath, [RACER, cache.dir, layout.dir, digest], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) return { child, dir: line };
  throw new Error("the process ended without a word");
}

test("processes that race for one digest all get the same whole tree", { timeout: 60_000 }, async () => {
  const entries = Array.from({ length: 200 }, (_, index) => ({
    name: `d${index % 7}/f${index}`,
    content: `${index}`,
  }));
  const digest = await layout.putCode(entries);
  const racers = await Promise.all(Array.from({ length: 4 }, () => startRacer(digest)));
  expect(new Set(racers.map(({ dir }) => dir)).size).toBe(1);
  for (const { name, content } of entries) {
    expect(await readFile(join(racers[0]?.dir ?? "", name), "utf8")).toBe(content);
  }
  expect(await readdir(join(cache.dir, ".making"))).toEqual([]);
});

test("unfinished trees of a killed process are removed, those of a living one stay", async () => {
  const making = join(cache.dir, ".making");
  const owner = (identity: { pid: number; start: string }) =>
    `${identity.pid}.${Buffer.from(identity.start).toString("base64url")}`;
  const mine = `name~${owner(cache.self)}`;
  const dead = `name~${owner({ pid: cache.self.pid, start: "another start" })}`;
  for (const name of [mine, dead, "nobody's"]) await mkdir(join(making, name));
  await openCodeCache({ dir: cache.dir });
  expect(await readdir(making)).toEqual([mine]);
});

describe("pruning", () => {
  const HOUR_MS = 3_600_000;
  async function fetchOld(content: string, args: { ageMs: number }) {
    const code = await fetchDigest(await putFile(content));
    const usedAt = (wallClock.nowMs() - args.ageMs) / 1_000;
    await utimes(code.dir, usedAt, usedAt);
    return { ...code, key: code.dir.split("/").at(-1) ?? "" };
  }
  const exists = (dir: string) =>
    stat(dir).then(
      () => true,
      () => false,
    );

  test("trees that were not used for long are removed, others stay", async () => {
    const old = await fetchOld("old", { ageMs: 2 * HOUR_MS });
    const recent = await fetchOld("recent", { ageMs: 0 });
    await old.release();
    await recent.release();
    expect(await pruneCodeCache(cache, { policy: { maxIdleMs: HOUR_MS } })).toEqual([old.key]);
    expect(await exists(old.dir)).toBe(false);
    expect(await exists(recent.dir)).toBe(true);
    expect(await readdir(join(cache.dir, ".making"))).toEqual([]);
  });

  test("above the size limit the least recently used trees are removed first, and a hit counts as use", async () => {
    const trees = [];
    for (const index of [0, 1, 2]) {
      trees.push(await fetchOld(`${index}`.repeat(1_000), { ageMs: (3 - index) * HOUR_MS }));
    }
    for (const { release } of trees) await release();
    const [first, second] = trees;
    await (await fetchDigest(`sha256:${first?.key.slice(-64)}`)).release();
    expect(await pruneCodeCache(cache, { policy: { maxBytes: 2_000 } })).toEqual([second?.key]);
  });

  test("trees in use stay: by this process, by another one, or named by the caller", {
    timeout: 60_000,
  }, async () => {
    const policy = { maxBytes: 0, maxIdleMs: 0 };
    const mine = await fetchOld("mine", { ageMs: HOUR_MS });
    const named = await fetchOld("named", { ageMs: HOUR_MS });
    await named.release();
    const { child, dir } = await startRacer(await putFile("theirs"));
    expect(await pruneCodeCache(cache, { inUse: [named.dir], policy })).toEqual([]);
    await mine.release();
    await mine.release();
    expect(await pruneCodeCache(cache, { inUse: [named.dir], policy })).toEqual([mine.key]);
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    expect((await pruneCodeCache(cache, { policy })).sort()).toEqual(
      [named.key, dir.split("/").at(-1)].sort(),
    );
  });

  test("fetching while pruning never yields a tree that is gone", { timeout: 60_000 }, async () => {
    const digest = await putFile("contended");
    const policy = { maxBytes: 0, maxIdleMs: -1 };
    let isDone = false;
    const pruning = (async () => {
      while (!isDone) await pruneCodeCache(cache, { policy });
    })();
    for (let round = 0; round < 60; round += 1) {
      const { dir, release } = await fetchDigest(digest);
      expect(await readFile(join(dir, "f"), "utf8")).toBe("contended");
      await release();
    }
    isDone = true;
    await pruning;
  });
});

test("a cache that cannot be made is a typed error", async () => {
  const file = join(root, "a-file");
  await writeFile(file, "");
  await expect(openCodeCache({ dir: join(file, "cache") })).rejects.toMatchObject({
    code: "cache-unwritable",
    kind: "unavailable",
  });
});

test("each error has its kind and the next step, and a refusal is never retried", () => {
  const isCode = (code: string): code is CodeErrorCode => code in CODE_ERRORS;
  for (const code of Object.keys(CODE_ERRORS).filter(isCode)) {
    const error = new CodeError(code, "It failed.");
    expect(error.message).toMatch(/^It failed\. [A-Z].+\.$/);
    if (error.kind === "refused") expect(error.retryable).toBe(false);
  }
});
