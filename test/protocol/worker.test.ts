import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { WorkerTestEnv } from "../../worker/src/testing/test-env.fixture.ts";
import { expectConformance, type GatewayUnderTest } from "./conform.ts";
import { readVectors, VECTOR_ATTEMPT } from "./vector.ts";

const [SECRET = ["", ""]] = Object.entries(VECTOR_ATTEMPT.secrets);
const AttemptFile = z.object({ socket: z.string() });

let testEnv: WorkerTestEnv;
let submission: Awaited<ReturnType<WorkerTestEnv["deploy"]>>;

beforeAll(async () => {
  testEnv = await WorkerTestEnv.open();
  await writeFile(join(testEnv.dir, "secret"), SECRET[1]);
  await testEnv.start({ capacity: 100, secrets: { [SECRET[0]]: { file: "secret" } } });
  submission = await testEnv.deploy(
    {},
    {
      deployment: VECTOR_ATTEMPT.deployment,
      entry: { kind: "command", argv: ["sleep", "600"] },
      secrets: [{ name: SECRET[0], env: null }],
      mayStart: [...VECTOR_ATTEMPT.mayStart],
      // The gateway of a cancelled attempt stays open until its process has ended.
      killGraceMs: 60_000,
    },
  );
});
afterAll(() => testEnv?.close());

/** A real worker's gateway for a new attempt whose process sends nothing. */
async function freshGateway(): Promise<GatewayUnderTest> {
  const { plane } = testEnv;
  const attempt = plane.submit({ ...submission, parameters: { ...VECTOR_ATTEMPT.parameters } });
  await plane.until("the attempt runs", () => attempt.state === "running");
  const folder = join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`);
  const { socket } = AttemptFile.parse(JSON.parse(await readFile(join(folder, "attempt.json"), "utf8")));
  // The gateway opens while the start is being confirmed, so it may appear a moment later.
  await expect.poll(() => existsSync(socket), { timeout: 60_000 }).toBe(true);
  const names = new Map<string, string>([
    [VECTOR_ATTEMPT.token, await readFile(join(folder, "token"), "utf8")],
    [VECTOR_ATTEMPT.runId, attempt.runId],
    [VECTOR_ATTEMPT.attemptId, attempt.attemptId],
    [VECTOR_ATTEMPT.workspaceId, plane.workspaceId],
  ]);
  return { socket, names, cancel: async () => plane.cancel(attempt) };
}

describe("a worker's gateway answers as the vectors say", () => {
  test.each(readVectors())("$file: $title", async (vector) => {
    await expectConformance(await freshGateway(), vector);
  });
});
