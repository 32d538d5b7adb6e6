import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeAttempt, linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

/** Whether a process still runs: a zombie does not. */
async function lives(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "gone (x) Z");
  return !/^[ZX]/.test(state.slice(state.lastIndexOf(")") + 2));
}

function lastNumber(attempt: FakeAttempt): number {
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  expect(pid).toBeGreaterThan(1);
  return pid;
}

/** A killed process leaves the table shortly after its signal. One that was not killed sleeps far longer than this wait. */
const GONE_WITHIN_MS = 15_000;

async function untilGone(pid: number): Promise<void> {
  await expect.poll(() => lives(pid), { timeout: GONE_WITHIN_MS }).toBe(false);
}

const scripts = {
  "that began a session of its own": "setsid sh -c 'echo daemon $$; exec sleep 1000' &\nsleep 0.5",
  "that forked twice and whose parents are gone":
    "(setsid sh -c '(sh -c \"echo daemon \\$\\$; exec sleep 1000\") & exit 0' &)\nsleep 0.5",
  "that threw its environment away": "env -i sh -c 'echo daemon $$; exec sleep 1000' &\nsleep 0.5",
} as const;

for (const [what, script] of Object.entries(scripts)) {
  test(`a child ${what} ends with its attempt`, async () => {
    await testEnv.start();
    const attempt = testEnv.plane.submit(
      await testEnv.deploy(
        { "leave.sh": script },
        { entry: { kind: "command", argv: ["sh", "leave.sh"] }, env: { TOWPATH_RUNNER: "somebody-else" } },
      ),
    );
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
    await untilGone(lastNumber(attempt));
  });
}

test("a process is killed although its attempt's file cannot be written", async () => {
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      {
        "block.sh":
          'mkdir "$(dirname "$TOWPATH_TOKEN_FILE")/attempt.json.next"; echo pid $$; exec sleep 1000',
      },
      { entry: { kind: "command", argv: ["sh", "block.sh"] } },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  testEnv.plane.cancel(attempt);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled", cause: "user" });
  await untilGone(lastNumber(attempt));
});
