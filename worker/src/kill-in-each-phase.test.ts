import { appendFile, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ATTEMPT_PHASES, PHASES, RESTARTS } from "./attempts/phases.ts";
import { readHistory } from "./attempts/spool-records.ts";
import { linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { WorkerProcesses } from "./testing/worker-process.fixture.ts";

let testEnv: WorkerTestEnv;
const workers = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await workers.end();
  await testEnv.close();
});

const listIfAny = (dir: string) => readdir(dir).catch((): string[] => []);

/** Writes down that it runs, and ends once a file exists. */
const FLOW = `const fs = await import("node:fs");
  fs.appendFileSync(process.env.FLAGS + "ran", "x");
  await gateway.log("ran");
  while (!fs.existsSync(process.env.FLAGS + "end")) await new Promise((r) => setTimeout(r, 20));`;

test.each(PHASES)(
  "a worker that is killed when an attempt is %s goes on with it as the table says",
  async (phase) => {
    const flags = join(testEnv.dir, "flag-");
    const first = await workers.start(testEnv, {}, { TOWPATH_FAILPOINTS: `${phase}:kill:1` });
    const attempt = testEnv.plane.submit(await testEnv.deployFlow(FLOW, { env: { FLAGS: flags } }));
    if (phase === "abandoned") {
      await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
      testEnv.plane.reassign(attempt);
      attempt.state = "ended";
    } else await appendFile(`${flags}end`, "");
    await first.exited;

    const name = `${attempt.attemptId}.1`;
    const [folder, journal] = ["attempts", "journals"].map((kind) => join(testEnv.dir, "state", kind, name));
    const { types } = await readHistory(journal ?? "", "control");
    expect([...types.keys()]).toEqual(expect.arrayContaining([...ATTEMPT_PHASES[phase].journal]));
    const found = await listIfAny(folder ?? "");
    expect(found).toEqual(expect.arrayContaining([...ATTEMPT_PHASES[phase].folder]));
    if (ATTEMPT_PHASES[phase].folder.length === 0) expect(found).toEqual([]);
    else expect(JSON.parse(await readFile(join(folder ?? "", "attempt.json"), "utf8")).phase).toBe(phase);

    await workers.start(testEnv);
    if (phase !== "abandoned")
      expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
    await expect.poll(() => listIfAny(folder ?? ""), { timeout: 60_000 }).toEqual([]);
    expect(await readFile(`${flags}ran`, "utf8")).toBe("x");
    expect(linesOf(attempt)).toEqual(["log: ran"]);
    const last = phase === "abandoned" ? [] : ["ended"];
    expect(attempt.control.map(({ type }) => type)).toEqual(["started", ...last]);
    expect(await listIfAny(journal ?? "")).not.toEqual([]);
  },
);

test("each phase that can be in a file has rows for a restart, the last without a condition", () => {
  for (const phase of PHASES.filter((name) => ATTEMPT_PHASES[name].folder.length > 0))
    expect(RESTARTS.filter(({ found }) => found === phase).at(-1)?.fact).toBeNull();
});
