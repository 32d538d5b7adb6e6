import { createHmac } from "node:crypto";
import { mkdtemp, mkdtempDisposable, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { uuidv7 } from "@towpath/contract";
import { beforeAll, describe, expect, test } from "vitest";
import { Keyrings } from "../store/keyrings.ts";
import { resolveStore, storeMarks, storeOfSpec } from "./store-access.ts";

const s3 = {
  endpoint: "https://store.example.org",
  region: "eu-west-7",
  accessKeyId: { env: "ID" },
  secretAccessKey: { env: "KEY" },
  sessionToken: null,
};

test("a folder needs no credentials", async () => {
  const { store, secrets } = await resolveStore(
    { store: { root: "file:///srv", s3: null }, stores: {}, environment: {} },
    null,
  );
  expect([store, secrets.size]).toEqual([{ root: "file:///srv" }, 0]);
});

test("a bucket's credentials come from the worker's own sources, and are secrets", async () => {
  const environment = { ID: "sample", KEY: "lock-keeper", TOKEN: "for-an-hour" };
  const root = "s3://values/of";
  const { store, secrets } = await resolveStore({ store: { root, s3 }, stores: {}, environment }, null);
  const told = {
    endpoint: s3.endpoint,
    region: s3.region,
    accessKeyId: "sample",
    secretAccessKey: "lock-keeper",
  };
  expect(store).toEqual({ root, s3: { ...told, sessionToken: null } });
  expect([...secrets.values()]).toEqual(["lock-keeper"]);
  const withToken = { root, s3: { ...s3, sessionToken: { env: "TOKEN" } } };
  expect([
    ...(await resolveStore({ store: withToken, stores: {}, environment }, null)).secrets.values(),
  ]).toContain("for-an-hour");
});

test("missing credentials are named", async () => {
  const asked = resolveStore(
    { store: { root: "s3://values", s3 }, stores: {}, environment: { ID: "sample" } },
    null,
  );
  await expect(asked).rejects.toThrow("The store's secret access key is missing: set the variable KEY");
});

test("a spec chooses a store by name, and the error for a missing one says what to do", async () => {
  const config = {
    store: { root: "file:///srv", s3: null },
    stores: { scratch: { root: "file:///scratch", s3: null } },
    environment: {},
  };
  expect((await resolveStore(config, "scratch")).store).toEqual({ root: "file:///scratch" });
  await expect(resolveStore(config, "constructor")).rejects.toThrow(
    'This worker has no store called "constructor". Add it under "stores" in the worker\'s configuration.',
  );
});

test("stores are told apart by name, those that cannot be reached left out", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "twp-stores-"));
  const root = (name: string) => pathToFileURL(join(folder.path, name)).href;
  await writeFile(join(folder.path, "file"), "");
  const marks = await storeMarks({
    store: { root: root("a"), s3: null },
    stores: { b: { root: root("b"), s3: null }, gone: { root: root("file/x"), s3: null } },
    environment: {},
  });
  expect(Object.keys(marks)).toEqual(["default", "b"]);
  expect(marks.default?.id).not.toBe(marks.b?.id);
});

let root: string;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "twp-keys-"));
  root = pathToFileURL(folder).href;
  return () => rm(folder, { recursive: true });
});

describe("the keys of pickled values", () => {
  const KEY = "0123456789abcdef0123456789abcdef";
  const OLD = "an older key with more than 32 bytes in it";
  const environment = { KEY, OLD, SHORT: KEY.slice(1) };
  const python = { kind: "python", module: "train.py", function: "train" } as const;
  const spec = {
    workspaceId: "0190a6e0-0000-7000-8000-000000000001",
    deployment: "train",
    stage: null,
    store: null,
    entry: { ...python, codecs: ["pickle" as const] },
  };
  const deps = (...names: string[]) => ({
    config: {
      store: { root, s3: null, keys: names.map((env) => ({ env })) },
      stores: {},
      environment,
    },
    keyrings: new Keyrings({ nowMs: () => Date.UTC(2026, 0, 15) }),
  });
  const resolved = (names: string[], given: Parameters<typeof storeOfSpec>[1]["spec"]) =>
    storeOfSpec(deps(...names), { spec: given, originId: null });

  test("are derived for the deployment, in the order of the configuration, and are secrets with their origin", async () => {
    const { store, secrets } = await resolved(["KEY", "OLD"], spec);
    // Made by hand: HMAC-SHA-256 with the key, of ["towpath-pickle","<workspace>","train"].
    const derived = createHmac("sha256", KEY)
      .update('["towpath-pickle","0190a6e0-0000-7000-8000-000000000001","train"]')
      .digest("base64url");
    expect(store.pickleKeys).toHaveLength(2);
    expect(store.pickleKeys?.[0]).toBe(derived);
    const given = [...(store.pickleKeys ?? []), ...(store.hashKeys ?? [])];
    expect([...secrets.values()].sort()).toEqual([KEY, OLD, ...given].sort());
    expect(JSON.stringify(store)).not.toContain(KEY);
  });

  test("differ between deployments, stages and workspaces", async () => {
    const others = [
      spec,
      { ...spec, deployment: "score" },
      { ...spec, stage: "prod" },
      { ...spec, workspaceId: "0190a6e0-0000-7000-8000-000000000002" },
    ];
    const found = await Promise.all(others.map(async (one) => await resolved(["KEY"], one)));
    expect(new Set(found.map(({ store }) => store.pickleKeys?.[0])).size).toBe(others.length);
  });

  test("are not given to a deployment that does not allow pickle", async () => {
    for (const entry of [
      python,
      { ...python, codecs: [] },
      { kind: "command" as const, argv: ["python3"] },
    ]) {
      const { store } = await resolved(["KEY"], { ...spec, entry });
      expect(store).toEqual({ root, hashKeys: [expect.any(String)] });
    }
  });

  test("are none if the store has only a generated key", async () => {
    const { store } = await resolved([], spec);
    expect([store.pickleKeys, store.hashKeys]).toEqual([[], [expect.any(String)]]);
  });

  test("are refused if a store key is missing or shorter than 32 bytes", async () => {
    await expect(resolved(["NONE"], spec)).rejects.toThrow("The store's key is missing");
    await expect(resolved(["KEY", "SHORT"], spec)).rejects.toThrow("shorter than 32 bytes");
  });
});

describe("the keys of hashes", () => {
  const environment = { NEW: "n".repeat(32), OLD: "o".repeat(32) };
  const workspaceId = "0190a6e0-0000-7000-8000-000000000001";
  const entry = { kind: "flow", module: "a.ts", export: "a" } as const;
  const spec = { workspaceId, deployment: "train", stage: null, store: null, entry };
  const day = (n: number) => Date.UTC(2026, 0, n);

  async function keysAt(names: readonly string[], args: { day: number; originId?: string; spec?: object }) {
    const keyrings = new Keyrings({ nowMs: () => day(args.day) });
    const store = { root: `${root}/rotated`, s3: null, keys: names.map((env) => ({ env })) };
    const config = { store, stores: {}, environment };
    const asked = { spec: { ...spec, ...args.spec }, originId: args.originId ?? null };
    return (await storeOfSpec({ config, keyrings }, asked)).store.hashKeys ?? [];
  }

  test("a run keeps the key that was current when its chain began, and others follow the current one", async () => {
    const [old] = await keysAt(["OLD"], { day: 1 });
    const [current, second] = await keysAt(["NEW", "OLD"], { day: 10 });
    expect(second).toBe(old);
    const before = uuidv7(day(5));
    expect(await keysAt(["NEW", "OLD"], { day: 11, originId: before })).toEqual([old, current]);
    expect(await keysAt(["NEW", "OLD"], { day: 11, originId: uuidv7(day(11)) })).toEqual([current, old]);
    // Before the first note, the oldest key counts. A key that is gone is not used.
    expect(await keysAt(["NEW", "OLD"], { day: 11, originId: uuidv7(0) })).toEqual([old, current]);
    expect(await keysAt(["NEW"], { day: 11, originId: before })).toEqual([current]);
  });

  test("differ between workspaces, and not between deployments: they share cached values", async () => {
    const [own] = await keysAt(["NEW"], { day: 1 });
    expect(await keysAt(["NEW"], { day: 1, spec: { deployment: "score" } })).toEqual([own]);
    const other = { workspaceId: "0190a6e0-0000-7000-8000-000000000002" };
    expect(await keysAt(["NEW"], { day: 1, spec: other })).not.toEqual([own]);
  });
});
