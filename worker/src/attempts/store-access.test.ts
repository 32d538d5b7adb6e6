import { expect, test } from "vitest";
import { resolveStore } from "./store-access.ts";

const s3 = {
  endpoint: "https://store.example.org",
  region: "eu-west-7",
  accessKeyId: { env: "ID" },
  secretAccessKey: { env: "KEY" },
  sessionToken: null,
};

test("a folder needs no credentials", async () => {
  const { store, secrets } = await resolveStore({
    store: { root: "file:///srv", s3: null },
    environment: {},
  });
  expect([store, secrets.size]).toEqual([{ root: "file:///srv" }, 0]);
});

test("a bucket's credentials come from the worker's own sources, and are secrets", async () => {
  const environment = { ID: "barge", KEY: "lock-keeper", TOKEN: "for-an-hour" };
  const root = "s3://water/of";
  const { store, secrets } = await resolveStore({ store: { root, s3 }, environment });
  const told = {
    endpoint: s3.endpoint,
    region: s3.region,
    accessKeyId: "barge",
    secretAccessKey: "lock-keeper",
  };
  expect(store).toEqual({ root, s3: { ...told, sessionToken: null } });
  expect([...secrets.values()]).toEqual(["lock-keeper"]);
  const withToken = { root, s3: { ...s3, sessionToken: { env: "TOKEN" } } };
  expect([...(await resolveStore({ store: withToken, environment })).secrets.values()]).toContain(
    "for-an-hour",
  );
});

test("credentials that are not there are named", async () => {
  const asked = resolveStore({ store: { root: "s3://water", s3 }, environment: { ID: "barge" } });
  await expect(asked).rejects.toThrow("The store's secret access key is not there: set the variable KEY");
});
