import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { resolvableSecrets, resolveSecrets, SECRET_MAX_BYTES, SecretUnavailable } from "./providers.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-secrets-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

test("a secret comes from a variable, or from a file without its last line ending", async () => {
  await writeFile(join(dir, "token"), "two\nlines\r\n");
  const providers = {
    secrets: { a: { env: "A" }, b: { file: join(dir, "token") } },
    environment: { A: "value " },
  };
  const values = await resolveSecrets(providers, ["a", "b"]);
  expect([...values]).toEqual([
    ["a", "value "],
    ["b", "two\nlines"],
  ]);
});

test("a secret without a source in the configuration comes from its variable", async () => {
  const providers = {
    secrets: { both: { env: "OTHER" } },
    environment: {
      TOWPATH_SECRET_DB_PASSWORD: "from-variable",
      TOWPATH_SECRET_BOTH: "unused",
      OTHER: "configured",
    },
  };
  const values = await resolveSecrets(providers, ["db-password", "both"]);
  expect([...values.values()]).toEqual(["from-variable", "configured"]);
});

test("one error names every missing secret", async () => {
  const resolving = resolveSecrets({ secrets: {}, environment: {} }, ["one", "two"]);
  await expect(resolving).rejects.toThrow(/"one".+TOWPATH_SECRET_ONE.+"two".+TOWPATH_SECRET_TWO/);
});

test("the report has the names of secrets with a value, and never a value", async () => {
  const providers = {
    secrets: { set: { env: "SET" }, gone: { file: join(dir, "gone") } },
    environment: { SET: "value", TOWPATH_SECRET_A_B: "value", TOWPATH_SECRET_EMPTY: "", OTHER: "value" },
  };
  expect(await resolvableSecrets(providers)).toEqual(["TOWPATH_SECRET_A_B", "set"]);
});

test("the error for a missing secret names it, says what to do, and never quotes it", async () => {
  await writeFile(join(dir, "huge"), "x".repeat(SECRET_MAX_BYTES + 10));
  const secrets = {
    empty: { env: "EMPTY" },
    gone: { file: join(dir, "gone") },
    huge: { file: join(dir, "huge") },
  };
  const providers = { secrets, environment: { EMPTY: "" } };
  await expect(resolveSecrets(providers, ["unknown"])).rejects.toThrow('Add it under "secrets"');
  await expect(resolveSecrets(providers, ["empty"])).rejects.toThrow("EMPTY");
  await expect(resolveSecrets(providers, ["gone"])).rejects.toThrow("check path and rights");
  await expect(resolveSecrets(providers, ["huge"])).rejects.toThrow("longer than");
  await expect(resolveSecrets(providers, ["toString"])).rejects.toThrow(SecretUnavailable);
});
