import { LIMITS } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

test("a worker takes no more than it has slots for, and offers a freed slot at once", async () => {
  await testEnv.start({ capacity: 1 });
  const spec = await testEnv.deployFlow(
    'await gateway.log("up"); await gateway.commands(0); return "cancelled";',
  );
  const [first, second] = [testEnv.plane.submit(spec), testEnv.plane.submit(spec)];
  await testEnv.plane.until("the first runs", () => linesOf(first).length > 0);
  await testEnv.plane.until(
    "a poll without a free slot waits",
    () => testEnv.plane.claims.at(-1)?.free === 0,
  );
  expect(second.state).toBe("ready");
  testEnv.plane.cancel(first);
  await testEnv.plane.until("the second runs", () => linesOf(second).length > 0);
  expect(testEnv.plane.claims.every(({ free }) => free <= 1)).toBe(true);
});

test("after a lost answer the same claim is delivered again", async () => {
  await testEnv.start();
  const spec = await testEnv.deployFlow('await gateway.log("once");');
  await testEnv.plane.until("it polls", () => testEnv.plane.claims.length > 0);
  testEnv.plane.losesNextClaim = true;
  const attempt = testEnv.plane.submit(spec);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.epoch).toBe(1);
  expect(linesOf(attempt)).toEqual(["log: once"]);
});

test("a repeated command does not turn polls into a busy loop", async () => {
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "loop.sh": 'trap "" TERM; echo up; while true; do sleep 0.1; done' },
      { entry: { kind: "command", argv: ["bash", "loop.sh"] }, killGraceMs: 2_000 },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const [before, startMs] = [testEnv.plane.claims.length, performance.now()];
  testEnv.plane.cancel(attempt);
  await testEnv.plane.untilEnded(attempt);
  // Two a second, and a few more. A busy loop has far more.
  const most = 20 + ((performance.now() - startMs) / 1_000) * 2;
  expect(testEnv.plane.claims.length - before).toBeLessThan(most);
});

test("a rejected record does not delay the records after it", async () => {
  testEnv.plane.rejects = (record) => record.type === "task";
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      'await gateway.send({ type: "task", path: "a", name: "a", move: "queue", tries: 0 }); await gateway.log("on");',
    ),
  );
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
});

test("a start that is declined launches nothing and ends as cancelled", async () => {
  testEnv.plane.rejects = (record) => record.type === "started";
  await testEnv.start();
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("ran");'));
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled", cause: "user" });
  expect(linesOf(attempt)).toEqual([]);
});

test("a report that cannot be read is split, and only its bad record is given up", async () => {
  testEnv.plane.chokesOn = "poison";
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      'await gateway.log("fine"); await gateway.log("poison"); await gateway.send({ type: "task", path: "a", name: "a", move: "queue", tries: 0 });',
    ),
  );
  await testEnv.plane.until("it has ended", () => attempt.outcome !== null);
  expect(attempt.outcome).toEqual({ state: "completed", cause: null });
  expect(linesOf(attempt)).not.toContain("log: poison");
});

test("a control record that cannot be read leaves no hole, so the run ends", async () => {
  testEnv.plane.chokesOn = "poison";
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      'await gateway.send({ type: "task", path: "poison", name: "a", move: "queue", tries: 0 }); await gateway.log("on");',
    ),
  );
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
});

test("an end whose error cannot be read still ends the run as it ended", async () => {
  testEnv.plane.chokesOn = "poison";
  await testEnv.start();
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('throw new Error("poison");'));
  const ended = await testEnv.plane.untilEnded(attempt);
  expect(ended).toMatchObject({ outcome: "failed", cause: "error" });
  expect(ended).not.toHaveProperty("error");
});

test("after failures in a row before user code the worker stops taking work for a while", async () => {
  await testEnv.start({ breakerFailures: 2 });
  const spec = await testEnv.deployFlow("");
  const forged = { ...spec, spec: `${spec.spec.slice(0, -20)}${"A".repeat(20)}` };
  // Refusals of one deployment say nothing about the worker.
  for (const _ of [1, 2, 3]) await testEnv.plane.untilEnded(testEnv.plane.submit(forged));
  expect(testEnv.plane.claims.filter(({ free }) => free === 0)).toEqual([]);
  await testEnv.plane.untilEnded(testEnv.plane.submit({ ...forged, deployment: "another" }));
  await testEnv.plane.until("it offers nothing", () => testEnv.plane.claims.at(-1)?.free === 0);
  const { paused } = testEnv.plane.claims.findLast(({ free }) => free === 0) ?? {};
  expect(paused).toEqual({ forMs: expect.any(Number), reason: expect.stringContaining("signature") });
  const good = testEnv.plane.submit(spec);
  await testEnv.plane.until("it tries one", () => good.state !== "ready");
  expect(await testEnv.plane.untilEnded(good)).toMatchObject({ outcome: "completed" });
  await testEnv.plane.until("all slots are free again", () => testEnv.plane.claims.at(-1)?.free === 2);
  expect(testEnv.plane.claims.at(-1)).not.toHaveProperty("paused");
});

test("behind a proxy that takes small bodies only, everything arrives, in order", async () => {
  testEnv.plane.mostBytes = 40_000;
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      'for (let n = 0; n < 12; n++) { console.log(n + "x".repeat(9_000)); await gateway.log("l" + n + "y".repeat(9_000)); }',
    ),
  );
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).toHaveLength(24);
});

test("a record that cannot be read does not delay an attempt with many records", async () => {
  testEnv.plane.chokesOn = "poison";
  await testEnv.start();
  const chatty = testEnv.plane.submit(
    await testEnv.deployFlow('for (let n = 0; n < 300; n++) await gateway.log("n" + n);'),
  );
  const poisoned = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("poison");'));
  expect(await testEnv.plane.untilEnded(chatty)).toMatchObject({ outcome: "completed" });
  await testEnv.plane.until("the other has ended", () => poisoned.outcome !== null);
  expect(linesOf(chatty)).toHaveLength(300);
});

test("a flow that reports faster than its worker is slowed, not stopped", async () => {
  await testEnv.start({ journal: { controlBytes: 16 * 1024 } });
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      `for (let n = 0; n < 40; n++) {
         const records = Array.from({ length: 20 }, (_, i) => ({ type: "task", path: "t" + n + "." + i, name: "t", move: "queue", tries: 0 }));
         await gateway.send(...records);
       }`,
    ),
  );
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed", cause: null });
  expect(attempt.control.filter(({ type }) => type === "task")).toHaveLength(800);
});

test("artifacts above the limit are refused one by one, the log says so once, and the flow goes on", async () => {
  await testEnv.start();
  const spec = await testEnv.deployFlow(`
    const many = Array.from({ length: 1_003 }, (_, index) =>
      ({ type: "artifact", key: "k" + index, body: { kind: "markdown", text: "" } }));
    for (let from = 0; from < many.length; from += 500) await gateway.send(...many.slice(from, from + 500));
    await gateway.log("and on");
  `);
  const attempt = testEnv.plane.submit(spec);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.bulk.filter(({ type }) => type === "artifact")).toHaveLength(LIMITS.artifactKeys);
  const lines = linesOf(attempt);
  expect(lines.filter((line) => line.includes("are not shown"))).toEqual([
    expect.stringContaining('worker: The artifact "k1000" and further new ones are not shown.'),
  ]);
  expect(lines.at(-1)).toBe("log: and on");
});
