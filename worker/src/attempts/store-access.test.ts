import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { resolveStore, storeMarks } from "./store-access.ts";

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
