import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS, newWorkspaceKey, SPEC_FORMAT, Spec, type SpecInput } from "@towpath/contract";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../../../../test/harness/index.ts";
import { generateSigningKey, readSigningKey, signSpec } from "../identity/signing-key.ts";
import { decodeSpec } from "./decode-spec.ts";
import { checkAllowed } from "./rollback.ts";
import { isSealedWhole, keyringOf, openOwnSpec } from "./seal-spec.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

type Settings = Partial<
  Pick<SpecInput, "timeoutMs" | "floor" | "stage" | "schedules" | "env" | "parameters">
>;

async function specOf(deployment: string, settings: Settings & { expiresAt?: string }): Promise<Spec> {
  const { workspace } = await stack.client.getMe();
  return Spec.parse({
    format: SPEC_FORMAT,
    workspaceId: workspace.id,
    deployment,
    version: 1,
    floor: 1,
    issuedAt: "2026-01-01T00:00:00.000Z",
    expiresAt: null,
    pools: ["local"],
    code: { kind: "oci-layout", registry: "local", digest: `sha256:${"ab".repeat(32)}` },
    entry: { kind: "command", argv: ["true"] },
    parameters: { type: "object" },
    ...settings,
  });
}

/** Registers one version for each of these settings. */
async function register(deployment: string, ...versions: readonly Settings[]): Promise<void> {
  const key = await readSigningKey(join(stack.folder, "keys/signing.jwk"));
  expect(key).not.toBeNull();
  if (key === null) return;
  for (const [index, settings] of versions.entries()) {
    const spec = await specOf(deployment, settings);
    await stack.client.registerVersion({
      body: { spec: await signSpec({ ...spec, version: index + 1 }, key) },
    });
  }
}

const cli = (...args: string[]) => stack.towpath(["deployments", ...args]);
const rollBack = (name: string, version: string) => cli("rollback", name, version, "--yes");

/** The timeouts of all versions, the oldest first. */
async function timeoutsOf(name: string): Promise<unknown[]> {
  const { items } = await stack.client.listVersions({ params: { name }, query: { limit: LIMITS.pageRows } });
  const specs = items.map(({ version }) =>
    stack.client.getVersion({ params: { name, version }, query: {} }).then(({ spec }) => spec.timeoutMs),
  );
  return (await Promise.all(specs)).reverse();
}

describe("a rollback", () => {
  test("registers the content of the earlier version as the next one; repeating it registers nothing", async () => {
    const schedules = [{ name: "nightly", timing: { kind: "cron" as const, cron: "0 3 * * *" } }];
    const parameters = {
      type: "object",
      properties: { day: { type: "string" }, rows: { type: "integer", default: 5 } },
      required: ["day", "rows"],
    };
    await register("twice", { timeoutMs: 1000, schedules, parameters }, { timeoutMs: 2000 });
    const first = await rollBack("twice", "1");
    expect(first.code, first.output).toBe(0);
    expect(first.output).toMatch(/timeoutMs +2\.0 s +1\.0 s/);
    expect(first.output).toContain("v3 of twice has the content of v1; new runs use it");
    expect(first.output).toContain("→ `towpath run twice@ -p day=… --watch` starts a run");
    const again = await rollBack("twice", "1");
    expect(again.code, again.output).toBe(0);
    expect(again.output).toContain("v3 of twice has the content of v1 already. Nothing was registered.");
    expect(await timeoutsOf("twice")).toEqual([1000, 2000, 1000]);
    const { items } = await stack.client.listSchedules({ query: { deployment: "twice" } });
    expect(items.map(({ name }) => name)).toEqual(["nightly"]);
  });

  test("seals what is plain or sealed with an earlier key with the present one, and repeating it registers nothing", async () => {
    const [old, fresh] = [newWorkspaceKey(), newWorkspaceKey()];
    const env = { MODE: "fast" };
    await register("sealed", { timeoutMs: 1000, env }, { timeoutMs: 2000, env });
    const sealedBack = (version: string, ...keys: string[]) =>
      stack.towpath(["deployments", "rollback", "sealed", version, "--yes"], {
        env: { TOWPATH_WORKSPACE_KEY: keys.join(" ") },
      });
    const opened = async (version: number, key: string) => {
      const { spec } = await stack.client.getSpec({ params: { name: "sealed", version } });
      expect(isSealedWhole(decodeSpec(spec))).toBe(true);
      return (await openOwnSpec(await keyringOf([key]), decodeSpec(spec))).env;
    };
    for (const end of ["; new runs use it", " already. Nothing was registered."])
      expect((await sealedBack("1", old)).output).toContain(`v3 of sealed has the content of v1${end}`);
    expect(await opened(3, old)).toEqual(env);
    expect((await sealedBack("2", fresh, old)).output).toContain(
      "v4 of sealed has the content of v2; new runs",
    );
    const missing = await sealedBack("3", fresh);
    expect(missing.code, missing.output).not.toBe(0);
    expect(missing.output).toContain(
      'v3 of "sealed" cannot be opened: The value was sealed with the workspace key',
    );
    expect((await sealedBack("3", fresh, old)).output).toContain(
      "v5 of sealed has the content of v3; new runs",
    );
    expect(await opened(5, fresh)).toEqual(env);
    expect(await timeoutsOf("sealed")).toEqual([1000, 2000, 1000, 2000, 1000]);
  });

  test("without a terminal needs --yes, and registers nothing without it", async () => {
    await register("asked", { timeoutMs: 1000 }, { timeoutMs: 2000 });
    const refused = await cli("rollback", "asked", "1");
    expect(refused.code, refused.output).toBe(64);
    expect(refused.output).toMatch(/timeoutMs +2\.0 s +1\.0 s/);
    expect(refused.output).toContain("Nothing was registered: asked would be rolled back to v1.");
    expect(refused.output).toContain("add --yes");
    const json = await cli("rollback", "asked", "1", "--json");
    expect(JSON.parse(json.output)).toMatchObject({ error: { code: "not-confirmed" } });
    expect(await timeoutsOf("asked")).toEqual([1000, 2000]);
  });

  test("of two processes at once, one registers a version", async () => {
    await register("raced", { timeoutMs: 1000 }, { timeoutMs: 2000 });
    const both = await Promise.all([rollBack("raced", "1"), rollBack("raced", "1")]);
    expect(both.map(({ code }) => code)).toContain(0);
    for (const { output } of both) expect(output).toMatch(/content of v1|was registered at the same time/);
    expect(await timeoutsOf("raced")).toEqual([1000, 2000, 1000]);
  });

  test("concerns one stage alone", async () => {
    for (const stage of [null, "prod"])
      await register("staged", { timeoutMs: 1000, stage }, { timeoutMs: 2000, stage });
    const unclear = await rollBack("staged", "1");
    expect(unclear.output).toContain('"staged" names several deployments: staged@, staged@prod.');
    const done = await rollBack("staged@prod", "1");
    expect(done.output).toContain("v3 of staged@prod has the content of v1");
    expect(await timeoutsOf("staged")).toEqual([1000, 2000]);
    expect(await timeoutsOf("staged@prod")).toEqual([1000, 2000, 1000]);
  });

  test("is refused below the floor, and never lowers the floor", async () => {
    await register("floored", { timeoutMs: 1000 }, { timeoutMs: 2000 }, { timeoutMs: 3000, floor: 2 });
    const below = await rollBack("floored", "1");
    expect(below.code).toBe(65);
    expect(below.output).toContain(
      'v1 of "floored" must not run again: the oldest allowed version is v2 (`floor`).',
    );
    const done = await rollBack("floored", "2");
    expect(done.code, done.output).toBe(0);
    const latest = await stack.client.getVersion({ params: { name: "floored", version: 4 }, query: {} });
    expect(latest.spec).toMatchObject({ floor: 2, timeoutMs: 2000 });
  });

  test("is refused for the latest version, and for one that does not exist", async () => {
    await register("dated", { timeoutMs: 1000 }, { timeoutMs: 2000 });
    expect((await rollBack("dated", "2")).output).toContain('v2 is the latest version of "dated" already');
    expect((await rollBack("dated", "9")).output).toContain('"dated" has no version 9; its latest is v2.');
    expect(await timeoutsOf("dated")).toEqual([1000, 2000]);
  });

  test("is refused for a version that has expired", async () => {
    const expiresAt = "2026-01-02T00:00:00.000Z";
    const spec = await specOf("dated", { expiresAt });
    const check = (nowMs: number) => () => checkAllowed(spec, { name: "dated", floor: 1, nowMs });
    expect(check(Date.parse(expiresAt) - 1)).not.toThrow();
    expect(check(Date.parse(expiresAt))).toThrow('v1 of "dated" expired at 2026-01-02T00:00:00.000Z.');
  });

  test("is refused if the control plane changed the signed spec", async () => {
    await register("forged", { timeoutMs: 1000 }, { timeoutMs: 2000 });
    const sql = postgres(stack.databaseUrl, { max: 1 });
    try {
      const { spec } = await stack.client.getSpec({ params: { name: "forged", version: 1 } });
      const [header = "", payload = "", signature = ""] = spec.split(".");
      const parsed = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
      const other = Buffer.from(JSON.stringify({ ...parsed, env: { LD_PRELOAD: "/tmp/evil.so" } }));
      const forged = [header, other.toString("base64url"), signature].join(".");
      const changed = await sql`update deployment_version set spec_jws = ${forged} where spec_jws = ${spec}`;
      expect(changed.count).toBe(1);
    } finally {
      await sql.end();
    }
    const refused = await rollBack("forged", "1");
    expect(refused.code).toBe(65);
    expect(refused.output).toContain('The signed spec of v1 of "forged" cannot be verified with your key.');
    expect(await timeoutsOf("forged")).toEqual([1000, 2000]);
  });

  test("is refused for a version that another key signed", async () => {
    await register("foreign", { timeoutMs: 1000 }, { timeoutMs: 2000 });
    const file = join(stack.folder, "keys/signing.jwk");
    const own = await readFile(file, "utf8");
    try {
      const other = await generateSigningKey();
      await writeFile(file, JSON.stringify(other));
      const refused = await rollBack("foreign", "1");
      expect(refused.code).toBe(77);
      expect(refused.output).toContain(`and yours is ${other.kid}`);
      expect(refused.output).toContain("TOWPATH_SIGNING_KEY_FILE");
    } finally {
      await writeFile(file, own);
    }
    expect(await timeoutsOf("foreign")).toEqual([1000, 2000]);
  });
});

describe("deployments", () => {
  test("are listed by stage with their schedules, shown without values of env, and compared", async () => {
    const schedules = ["daily", "nightly"].map((name) => ({
      name,
      timing: { kind: "cron" as const, cron: "0 3 * * *" },
    }));
    const version = { stage: "prod", schedules };
    await register(
      "looked",
      { ...version, timeoutMs: 1000, env: { LEVEL: "private-7f3a" } },
      { ...version, timeoutMs: 2000, env: { LEVEL: "private-91c2" } },
    );
    await stack.towpath(["schedule", "pause", "looked", "daily"]);
    const listed = await cli("ls", "--stage", "prod");
    expect(listed.output).toMatch(/looked@prod +v2 +\d+ \w+ ago by \S+ +2, 1 paused/);
    expect(listed.output).not.toMatch(/^twice /m);
    const json = JSON.parse((await cli("ls", "--stage", "prod", "--json")).output);
    expect(json.items.find((one: { name: string }) => one.name === "looked@prod")).toMatchObject({
      lastRun: null,
      schedules: { total: 2, paused: 1 },
    });
    const shown = await cli("show", "looked");
    expect(shown.output).toMatch(/env +LEVEL\n/);
    expect(shown.output).toMatch(/timeoutMs +2\.0 s/);
    expect(shown.output).toMatch(/daily +.*paused/);
    const compared = await cli("diff", "looked", "1", "2");
    expect(compared.output).toMatch(/timeoutMs +1\.0 s +2\.0 s/);
    expect(compared.output).toMatch(/env\.LEVEL +not shown +not shown/);
    for (const { output } of [shown, compared]) expect(output).not.toContain("private-");
    const same = await cli("diff", "looked", "2");
    expect(same.code).toBe(65);
    expect(same.output).toContain('Both versions of "looked@prod" are v2.');
    await register("fresh", { timeoutMs: 1000 });
    const first = await cli("diff", "fresh");
    expect(first.code).toBe(65);
    expect(first.output.trim()).toBe('✗ "fresh" has only one version, v1. There is nothing to compare yet.');
  });

  test("pause and resume all their schedules, and repeating it changes nothing", async () => {
    const paused = await cli("pause", "looked");
    expect(paused.output).toContain("schedule nightly of looked@prod is paused");
    expect(paused.output).not.toContain("schedule daily");
    expect((await cli("pause", "looked")).output).toContain(
      "All schedules of looked@prod are paused already.",
    );
    const resumed = await cli("resume", "looked");
    expect(resumed.output).toMatch(/schedule daily of looked@prod is resumed, next \d{4}-/);
    const { items } = await stack.client.listSchedules({ query: { deployment: "looked@prod" } });
    expect(items.map((one) => one.paused)).toEqual([false, false]);
    expect((await cli("pause", "staged@")).output).toContain(
      "staged has no schedules, so nothing was paused.",
    );
  });
});
