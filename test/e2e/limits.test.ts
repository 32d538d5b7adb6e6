import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { heldPid, letGo, workFolder } from "./fixture.ts";
import { deployFlows, inEachLanguage } from "./languages.fixture.ts";
import { LIMITED } from "./limits.fixture.ts";

const LEASES = { TOWPATH_LEASE_MS: "3000", TOWPATH_CLAIM_LEASE_MS: "2500", TOWPATH_RENEW_INTERVAL_MS: "500" };
const LIMIT = { timeout: 120_000 };

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ controlEnv: LEASES });
}, 240_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

async function limit(name: string, slots: number, kind: "tag" | "named" = "tag"): Promise<void> {
  const set = await stack.towpath(["limit", "set", name, String(slots), "--kind", kind]);
  expect(set.code, set.output).toBe(0);
}

const limitOf = async (name: string, kind: "tag" | "named" = "tag") =>
  (await stack.client.listLimits({ query: { kind, name } })).items[0];

/** Whether each try had ended before the next one started. */
async function neverTwo(runIds: readonly string[]): Promise<boolean> {
  const spans: { beganMs: number; endedMs: number }[] = [];
  for (const runId of runIds) {
    const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
    for (const entry of entries)
      if (entry.kind === "line" && entry.text.startsWith("{")) spans.push(JSON.parse(entry.text));
  }
  expect(spans).toHaveLength(3 * runIds.length);
  const sorted = spans.sort((one, two) => one.beganMs - two.beganMs);
  return sorted.every((span, index) => index === 0 || (sorted[index - 1]?.endedMs ?? 0) <= span.beganMs);
}

inEachLanguage((language) => {
  const on = (name: string) => `${name}@${language}`;
  let home: string;
  beforeAll(async () => {
    await limit("db", 1, "named");
    home = await deployFlows(stack, language, LIMITED);
    const second = await stack.towpath(["deploy", "--project", home, "--stage", `${language}-two`]);
    expect(second.code, second.output).toBe(0);
  }, 240_000);

  test("a deploy refuses a task whose named limit does not exist", LIMIT, async () => {
    const removed = await stack.towpath(["limit", "rm", "db"]);
    expect(removed.code, removed.output).toBe(0);
    const refused = await stack.towpath(["deploy", "--project", home, "--stage", language]);
    expect(refused.code).not.toBe(0);
    expect(refused.output).toMatch(/The limit "db" of the task "(query|scan)" in ".*" does not exist\./);
  });

  test(
    "a task takes the slots of a named limit, and one that needs more than there are says so",
    LIMIT,
    async () => {
      await limit("db", 1, "named");
      await using worker = await stack.startWorker({ name: "named" });
      const ids = [await stack.run(on("queries")), await stack.run(on("queries"))];
      const runs = await Promise.all(ids.map((id) => stack.waitForRun(id)));
      expect(
        runs.map(({ state }) => state),
        worker.output(),
      ).toEqual(["completed", "completed"]);
      expect(await neverTwo(ids)).toBe(true);
      expect(await limitOf("db", "named")).toMatchObject({ taken: 0, waiting: 0 });
      const scans = await stack.run(on("scans"));
      const why = () => stack.towpath(["why", scans]).then(({ output }) => output);
      await expect.poll(why, { timeout: 60_000 }).toMatch(/needs 3 slots|3 slots/);
      await limit("db", 3, "named");
      expect((await stack.waitForRun(scans)).state, worker.output()).toBe("completed");
    },
  );

  test(
    "tasks of two runs, in two stages, never run at the same time, and all slots return",
    LIMIT,
    async () => {
      await limit("warehouse", 1);
      await using worker = await stack.startWorker({ name: "one" });
      const ids = [await stack.run(on("loads")), await stack.run(`loads@${language}-two`)];
      const runs = await Promise.all(ids.map((id) => stack.waitForRun(id)));
      expect(
        runs.map(({ state }) => state),
        worker.output(),
      ).toEqual(["completed", "completed"]);
      expect(await neverTwo(ids)).toBe(true);
      expect(await limitOf("warehouse")).toMatchObject({ taken: 0, waiting: 0 });
    },
  );

  test(
    "a task uses the slot of its run or of the task that calls it, and another tag is refused there",
    LIMIT,
    async () => {
      await limit("warehouse", 1);
      await limit("crm", 1);
      await using worker = await stack.startWorker({ name: "two" });
      const nested = await stack.waitForRun(await stack.run(on("nested")));
      expect(nested.state, worker.output()).toBe("completed");
      const tagged = await stack.towpath(["run", on("loads"), "--tag", "warehouse", "--watch"]);
      expect(tagged.code, tagged.output).toBe(0);
      const mixed = await stack.waitForRun(await stack.run(on("mixes")));
      expect(mixed).toMatchObject({ state: "failed", error: { name: "SlotsHeld" } });
      expect(mixed.error?.message).toContain('Task "other" needs slots, but "mixed"');
      expect(await limitOf("warehouse")).toMatchObject({ taken: 0, waiting: 0 });
    },
  );

  test(
    "the command line sets, lists, shows and deletes it, and says which tag a run waits for",
    LIMIT,
    async () => {
      await limit("night shift", 0);
      const runId = (await stack.towpath(["run", on("nested"), "--tag", "night shift", "--json"])).output;
      const id = /[0-9a-f-]{36}/.exec(runId)?.[0] ?? "";
      expect((await stack.towpath(["limit", "ls"])).output).toMatch(/night shift +tag +0/);
      const shown = await stack.towpath(["limit", "show", "night shift"]);
      expect(shown.output).toContain("night shift (tag): 0");
      expect(shown.output).toContain(id);
      const why = await stack.towpath(["why", id]);
      expect(why.output).toContain("First in the wait list for the slots of tag `night shift`");
      expect(why.output).toContain("towpath limit set 'night shift' --kind tag SLOTS");
      await limit("nested", 7);
      const deployment = await stack.towpath(["deployments", "show", on("nested")]);
      expect(deployment.output).toMatch(/tags +nested/);
      expect(deployment.output).toMatch(/nested +tag +7/);
      const removed = await stack.towpath(["limit", "rm", "night shift", "--kind", "tag"]);
      expect(removed.output).toContain("removed limit night shift; 1 were waiting");
      await using worker = await stack.startWorker({ name: "three" });
      expect((await stack.waitForRun(id)).state, worker.output()).toBe("completed");
    },
  );

  test("a task in another pool uses the slot of the task that calls it", LIMIT, async () => {
    await limit("gate", 1);
    await using worker = await stack.startWorker({ name: "far" });
    const run = await stack.waitForRun(await stack.run(on("remote")));
    expect(run.state, worker.output()).toBe("completed");
    expect(await limitOf("gate")).toMatchObject({ taken: 0, waiting: 0 });
  });

  test("the slot of a task returns when its machine is gone, and the retry takes it", LIMIT, async () => {
    await limit("press", 1);
    const worker = await stack.startWorker({ name: "lost-machine" });
    const work = await workFolder(stack);
    const runId = await stack.run(on("holds"), { folder: work });
    const pid = await heldPid(work);
    expect(await limitOf("press")).toMatchObject({
      taken: 1,
      holders: [{ runId, task: expect.stringMatching(/^hold:/) }],
    });
    worker.kill("SIGKILL");
    await worker.exited;
    if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
    const declared = await stack.towpath(["worker", "gone", "lost-machine", "--yes"]);
    expect(declared.code, declared.output).toBe(0);
    await letGo(work);
    await using heir = await stack.startWorker({ name: "heir" });
    const run = await stack.waitForRun(runId);
    expect(run, heir.output()).toMatchObject({ state: "completed", attempts: 2 });
    expect(await limitOf("press")).toMatchObject({ taken: 0, waiting: 0 });
  });
});
