import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { exportJWK, generateKeyPair } from "jose";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { deployHeld, letGo } from "./fixture.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
  await deployHeld(stack);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function runHeld() {
  const work = await mkdtemp(join(stack.folder, "work-"));
  await letGo(work);
  const runId = await stack.run("held", { folder: work });
  const run = await stack.waitForRun(runId);
  const executed = await readFile(join(work, "ledger"), "utf8").catch(() => "");
  return { run, executed };
}

test("The worker refuses a spec that was changed in the control plane's database, and runs nothing of it", async () => {
  const sql = postgres(stack.databaseUrl, { max: 1 });
  const versions = await sql<{ id: string; spec_jws: string }[]>`select id, spec_jws from deployment_version`;
  try {
    for (const { id, spec_jws } of versions) {
      const [header = "", payload = "", signature = ""] = spec_jws.split(".");
      const spec = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
      const forged = Buffer.from(JSON.stringify({ ...spec, env: { LD_PRELOAD: "/tmp/evil.so" } })).toString(
        "base64url",
      );
      await sql`update deployment_version set spec_jws = ${[header, forged, signature].join(".")} where id = ${id}`;
    }
    await using worker = await stack.startWorker({ name: "strict" });
    const { run, executed } = await runHeld();
    expect(run).toMatchObject({ state: "failed", cause: "refused" });
    expect(run.error?.message).toMatch(/signature/i);
    expect(executed).toBe("");
    worker.kill("SIGTERM");
    await worker.exited;
  } finally {
    for (const { id, spec_jws } of versions)
      await sql`update deployment_version set spec_jws = ${spec_jws} where id = ${id}`;
    await sql.end();
  }
});

test("A worker that trusts another key refuses what the first worker runs", async () => {
  const { publicKey } = await generateKeyPair("EdDSA", { extractable: true });
  const stranger = { ...(await exportJWK(publicKey)), kid: "somebody-else" };
  {
    await using worker = await stack.startWorker({ name: "stranger", settings: { trustedKeys: [stranger] } });
    const { run, executed } = await runHeld();
    expect(run).toMatchObject({ state: "failed", cause: "refused" });
    expect(executed).toBe("");
    worker.kill("SIGTERM");
    await worker.exited;
  }
  await using worker = await stack.startWorker({ name: "strict" });
  expect((await runHeld()).run.state).toBe("completed");
  worker.kill("SIGTERM");
  await worker.exited;
});

test("A worker without the spec's registry refuses the run and names the registry", async () => {
  await using worker = await stack.startWorker({ name: "elsewhere", settings: { registries: {} } });
  const { run } = await runHeld();
  expect(run).toMatchObject({ state: "failed", cause: "refused" });
  expect(run.error?.message).toContain("local");
  worker.kill("SIGTERM");
  await worker.exited;
});
