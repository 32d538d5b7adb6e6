import { LIMITS } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { linesOf } from "./testing/fake-attempt.fixture.ts";
import { Water } from "./testing/water.fixture.ts";

let water: Water;
beforeEach(async () => {
  water = await Water.open();
});
afterEach(async () => {
  await water.close();
});

test("a worker takes no more than it has places for, and offers a freed one at once", async () => {
  await water.start({ capacity: 1 });
  const spec = await water.deployFlow(
    'await gateway.log("up"); await gateway.commands(0); return "cancelled";',
  );
  const [first, second] = [water.plane.submit(spec), water.plane.submit(spec)];
  await water.plane.until("the first runs", () => linesOf(first).length > 0);
  await water.plane.until("a poll without a free place waits", () => water.plane.claims.at(-1)?.free === 0);
  expect(second.state).toBe("ready");
  water.plane.cancel(first);
  await water.plane.until("the second runs", () => linesOf(second).length > 0);
  expect(water.plane.claims.every(({ free }) => free <= 1)).toBe(true);
});

test("an answer that was lost on its way costs nothing: the same claim comes again", async () => {
  await water.start();
  const spec = await water.deployFlow('await gateway.log("once");');
  await water.plane.until("it polls", () => water.plane.claims.length > 0);
  water.plane.losesNextClaim = true;
  const attempt = water.plane.submit(spec);
  expect(await water.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.epoch).toBe(1);
  expect(linesOf(attempt)).toEqual(["log: once"]);
});

test("a command that is repeated until it is done does not turn polls into a busy loop", async () => {
  await water.start();
  const attempt = water.plane.submit(
    await water.deploy(
      { "loop.sh": 'trap "" TERM; echo up; while true; do sleep 0.1; done' },
      { entry: { kind: "command", argv: ["bash", "loop.sh"] }, killGraceMs: 2_000 },
    ),
  );
  await water.plane.until("it runs", () => linesOf(attempt).length > 0);
  const [before, startMs] = [water.plane.claims.length, performance.now()];
  water.plane.cancel(attempt);
  await water.plane.untilEnded(attempt);
  // Two a second, and some at its ends; a busy loop has that many in a moment.
  const most = 20 + ((performance.now() - startMs) / 1_000) * 2;
  expect(water.plane.claims.length - before).toBeLessThan(most);
});

test("a record that the control plane rejects does not hold up those behind it", async () => {
  water.plane.rejects = (record) => record.type === "task";
  await water.start();
  const attempt = water.plane.submit(
    await water.deployFlow(
      'await gateway.send({ type: "task", path: "a", name: "a", move: "queue", tries: 0 }); await gateway.log("on");',
    ),
  );
  expect(await water.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
});

test("a start that is declined launches nothing and ends as cancelled", async () => {
  water.plane.rejects = (record) => record.type === "started";
  await water.start();
  const attempt = water.plane.submit(await water.deployFlow('await gateway.log("ran");'));
  expect(await water.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled", cause: "user" });
  expect(linesOf(attempt)).toEqual([]);
});

test("a report that cannot even be read is taken apart, and only its bad record is given up", async () => {
  water.plane.chokesOn = "poison";
  await water.start();
  const attempt = water.plane.submit(
    await water.deployFlow(
      'await gateway.log("fine"); await gateway.log("poison"); await gateway.send({ type: "task", path: "a", name: "a", move: "queue", tries: 0 });',
    ),
  );
  await water.plane.until("it has ended", () => attempt.outcome !== null);
  expect(attempt.outcome).toEqual({ state: "completed", cause: null });
  expect(linesOf(attempt)).not.toContain("log: poison");
});

test("a control record that cannot be read leaves no hole that would keep the run from its end", async () => {
  water.plane.chokesOn = "poison";
  await water.start();
  const attempt = water.plane.submit(
    await water.deployFlow(
      'await gateway.send({ type: "task", path: "poison", name: "a", move: "queue", tries: 0 }); await gateway.log("on");',
    ),
  );
  expect(await water.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
});

test("an end whose error cannot be read still ends the run as it ended", async () => {
  water.plane.chokesOn = "poison";
  await water.start();
  const attempt = water.plane.submit(await water.deployFlow('throw new Error("poison");'));
  const ended = await water.plane.untilEnded(attempt);
  expect(ended).toMatchObject({ outcome: "failed", cause: "error" });
  expect(ended).not.toHaveProperty("error");
});

test("after failures in a row before user code the worker stops taking work for a while", async () => {
  await water.start({ breakerFailures: 2 });
  const spec = await water.deployFlow("");
  const forged = { ...spec, spec: `${spec.spec.slice(0, -20)}${"A".repeat(20)}` };
  for (const _ of [1, 2]) await water.plane.untilEnded(water.plane.submit(forged));
  await water.plane.until("it offers nothing", () => water.plane.claims.at(-1)?.free === 0);
  const { paused } = water.plane.claims.findLast(({ free }) => free === 0) ?? {};
  expect(paused).toEqual({ forMs: expect.any(Number), reason: expect.stringContaining("signature") });
  const good = water.plane.submit(spec);
  await water.plane.until("it tries one", () => good.state !== "ready");
  expect(await water.plane.untilEnded(good)).toMatchObject({ outcome: "completed" });
  await water.plane.until("all places are free again", () => water.plane.claims.at(-1)?.free === 2);
  expect(water.plane.claims.at(-1)).not.toHaveProperty("paused");
});

test("behind a proxy that takes small bodies only, everything arrives, in order", async () => {
  water.plane.mostBytes = 40_000;
  await water.start();
  const attempt = water.plane.submit(
    await water.deployFlow(
      'for (let n = 0; n < 12; n++) { console.log(n + "x".repeat(9_000)); await gateway.log("l" + n + "y".repeat(9_000)); }',
    ),
  );
  expect(await water.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).toHaveLength(24);
});

test("a record that cannot be read does not hold up an attempt that has much to say", async () => {
  water.plane.chokesOn = "poison";
  await water.start();
  const chatty = water.plane.submit(
    await water.deployFlow('for (let n = 0; n < 300; n++) await gateway.log("n" + n);'),
  );
  const poisoned = water.plane.submit(await water.deployFlow('await gateway.log("poison");'));
  expect(await water.plane.untilEnded(chatty)).toMatchObject({ outcome: "completed" });
  await water.plane.until("the other has ended", () => poisoned.outcome !== null);
  expect(linesOf(chatty)).toHaveLength(300);
});

test("a flow that reports faster than its worker is slowed, not stopped", async () => {
  await water.start({ journal: { controlBytes: 16 * 1024 } });
  const attempt = water.plane.submit(
    await water.deployFlow(
      `for (let n = 0; n < 40; n++) {
         const records = Array.from({ length: 20 }, (_, i) => ({ type: "task", path: "t" + n + "." + i, name: "t", move: "queue", tries: 0 }));
         await gateway.send(...records);
       }`,
    ),
  );
  expect(await water.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed", cause: null });
  expect(attempt.control.filter(({ type }) => type === "task")).toHaveLength(800);
});

test("artifacts past the limit are refused one by one, the log says so once, and the flow goes on", async () => {
  await water.start();
  const spec = await water.deployFlow(`
    const many = Array.from({ length: 1_003 }, (_, index) =>
      ({ type: "artifact", key: "k" + index, body: { kind: "markdown", text: "" } }));
    for (let from = 0; from < many.length; from += 500) await gateway.send(...many.slice(from, from + 500));
    await gateway.log("and on");
  `);
  const attempt = water.plane.submit(spec);
  expect(await water.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.bulk.filter(({ type }) => type === "artifact")).toHaveLength(LIMITS.artifactKeys);
  const lines = linesOf(attempt);
  expect(lines.filter((line) => line.includes("are not shown"))).toEqual([
    expect.stringContaining('worker: The artifact "k1000" and further new ones are not shown.'),
  ]);
  expect(lines.at(-1)).toBe("log: and on");
});
