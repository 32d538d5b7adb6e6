import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SECRET_MAX_BYTES } from "./limits.ts";
import { resolvableSecrets, resolveSecrets } from "./providers.ts";
import { SecretsMissing, SecretUnavailable } from "./secret-unavailable.ts";

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
  await expect(resolving).rejects.toThrow(
    'The secrets "one", "two" have no value on this worker. Add them under "secrets" in the worker\'s configuration, which needs no restart. Or start the worker with a variable for each, such as TOWPATH_SECRET_ONE.',
  );
  await expect(resolving).rejects.toThrow(SecretsMissing);
});

test("a worker whose configuration a command writes names the command and the variable, not the configuration", async () => {
  const dev = { secrets: {}, environment: {}, startedBy: "towpath dev" };
  await expect(resolveSecrets(dev, ["crm-token"])).rejects.toThrow(
    'The secret "crm-token" has no value on this worker. Stop `towpath dev`, set the variable TOWPATH_SECRET_CRM_TOKEN, and start it again.',
  );
  await expect(resolveSecrets(dev, ["a", "b"])).rejects.toThrow(
    "set a variable for each, such as TOWPATH_SECRET_A, and start",
  );
});

test("the error for many missing secrets counts those that it does not name, and ends with the next step", async () => {
  const names = Array.from({ length: 64 }, (_, index) => `s${index}`.padEnd(63, "x"));
  const error = await resolveSecrets({ secrets: {}, environment: {} }, names).catch((thrown) => thrown);
  expect(error.message.length).toBeLessThan(LIMITS.messageChars);
  expect(error.message).toMatch(
    /" and \d+ more have no value on this worker\. .+ such as TOWPATH_SECRET_S0X+\.$/,
  );
});

test("a secret is missing if its variable is not set or its file does not exist; other faults may pass", async () => {
  await writeFile(join(dir, "empty"), "");
  await writeFile(join(dir, "huge"), "x".repeat(SECRET_MAX_BYTES + 10));
  const secrets = {
    unset: { env: "UNSET" },
    gone: { file: join(dir, "gone") },
    empty: { file: join(dir, "empty") },
    huge: { file: join(dir, "huge") },
    folder: { file: dir },
  };
  const faultOf = (...names: string[]) =>
    resolveSecrets({ secrets, environment: {} }, names).catch((thrown) => thrown);
  for (const name of ["unset", "gone", "unknown"]) expect(await faultOf(name)).toBeInstanceOf(SecretsMissing);
  for (const name of ["empty", "huge", "folder"]) {
    const fault = await faultOf(name);
    expect(fault).toBeInstanceOf(SecretUnavailable);
    expect(fault).not.toBeInstanceOf(SecretsMissing);
  }
  expect(await faultOf("empty", "gone")).toBeInstanceOf(SecretsMissing);
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
  await expect(resolveSecrets(providers, ["gone"])).rejects.toThrow("check the path and its permissions");
  await expect(resolveSecrets(providers, ["huge"])).rejects.toThrow("longer than");
  await expect(resolveSecrets(providers, ["toString"])).rejects.toThrow(SecretUnavailable);
});
