import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WorkerTestEnv } from "../testing/test-env.fixture.ts";
import { WorkerProcesses } from "../testing/worker-process.fixture.ts";

let testEnv: WorkerTestEnv;
const workers = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await workers.end();
  await testEnv.close();
});

/** Changes the configuration file of the running worker. */
async function configure(secrets: Record<string, { file: string }>): Promise<void> {
  const file = join(testEnv.dir, "worker.json");
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), secrets }));
}

const reported = () => testEnv.plane.sessions.at(-1)?.secrets;

test("a secret that is added to the configuration of a running worker is reported, and its runs get it", async () => {
  await workers.start(testEnv, {}, { TOWPATH_SECRET_FROM_VARIABLE: "a-value", http_proxy_of_mine: "x" });
  await testEnv.plane.until("it has a session", () => testEnv.plane.sessions.length > 0);
  expect(testEnv.plane.sessions[0]).toMatchObject({
    secrets: ["TOWPATH_SECRET_FROM_VARIABLE"],
    registries: ["local"],
  });
  await writeFile(join(testEnv.dir, "token"), "a-secret-value");
  await configure({ token: { file: "token" } });
  await testEnv.plane.until("the new secret is reported", () => reported()?.includes("token") === true);
  expect(testEnv.plane.received).not.toContain("a-secret-value");
  const spec = await testEnv.deployFlow("await gateway.log(String(context.secrets.token.length));", {
    secrets: [{ name: "token" }],
  });
  const attempt = testEnv.plane.submit(spec);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
});

test("a run right after the change gets the secret, and a faulty file keeps the earlier secrets", async () => {
  await writeFile(join(testEnv.dir, "token"), "a-secret-value");
  const worker = await workers.start(testEnv);
  await testEnv.plane.until("it has a session", () => testEnv.plane.sessions.length > 0);
  const spec = await testEnv.deployFlow("", { secrets: [{ name: "token" }] });
  await configure({ token: { file: "token" } });
  const first = testEnv.plane.submit(spec);
  expect(await testEnv.plane.untilEnded(first)).toMatchObject({ outcome: "completed" });
  await writeFile(join(testEnv.dir, "worker.json"), "{");
  await expect
    .poll(() => worker.output(), { timeout: 60_000 })
    .toContain("The worker keeps its earlier secrets.");
  const second = testEnv.plane.submit(spec);
  expect(await testEnv.plane.untilEnded(second)).toMatchObject({ outcome: "completed" });
});
