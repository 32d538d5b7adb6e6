import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FakeAttempt } from "./testing/fake-attempt.fixture.ts";
import { linesOf } from "./testing/fake-attempt.fixture.ts";
import { Water } from "./testing/water.fixture.ts";
import { killNine, WorkerProcesses } from "./testing/worker-process.fixture.ts";

let water: Water;
const workers = new WorkerProcesses();
beforeEach(async () => {
  water = await Water.open();
});
afterEach(async () => {
  await workers.end();
  await water.close();
});

const GPUS = [
  { id: "GPU-1", kind: "a100" },
  { id: "GPU-2", kind: "a100" },
];
const compute = { cpu: 4, memory: "8 GiB", gpus: GPUS };
const SHOW = 'await gateway.log("gpus [" + process.env.CUDA_VISIBLE_DEVICES + "]");';

/** A flow that tells its devices, and goes on until a file is there. */
const deploy = (count: number, flag = "go") =>
  water.deployFlow(
    `const fs = await import("node:fs"); ${SHOW}
     while (!fs.existsSync(process.env.FLAG)) await new Promise((r) => setTimeout(r, 20));`,
    {
      env: { FLAG: join(water.dir, flag), CUDA_VISIBLE_DEVICES: "7" },
      ...(count > 0 && { compute: { gpu: { count, kind: "a100" } } }),
    },
  );
const devicesOf = (attempt: FakeAttempt) =>
  linesOf(attempt)
    .join()
    .replace(/.*\[(.*)\].*/, "$1");
const shows = (attempt: FakeAttempt) =>
  water.plane.until("it tells its devices", () => linesOf(attempt).some((line) => line.includes("gpus [")));
const freeNow = () => water.plane.claims.at(-1)?.amounts;

test("each attempt sees the devices that are its own, and one that needs none sees none", async () => {
  await water.start({ capacity: 3, compute });
  expect(water.plane.sessions[0]?.amounts).toEqual({ cpu: 4, memory: 8 * 2 ** 30, gpu: 2, "gpu:a100": 2 });
  const one = await deploy(1);
  const attempts = [water.plane.submit(one), water.plane.submit(one), water.plane.submit(await deploy(0))];
  for (const attempt of attempts) await shows(attempt);
  expect(attempts.slice(0, 2).map(devicesOf).sort()).toEqual(["GPU-1", "GPU-2"]);
  expect(attempts.slice(2).map(devicesOf)).toEqual([""]);
  await water.plane.until("it says what is free", () => freeNow()?.gpu === 0);
  expect(freeNow()).toMatchObject({ cpu: 4, gpu: 0, "gpu:a100": 0 });
  await writeFile(join(water.dir, "go"), "");
  for (const attempt of attempts) await water.plane.untilEnded(attempt);
  await water.plane.until("all is free again", () => freeNow() === undefined);
});

test("what was signed to need more than is free is given back, whatever the control plane says", async () => {
  await water.start({ capacity: 3, compute });
  const first = water.plane.submit(await deploy(2));
  await shows(first);
  const second = water.plane.submit(await deploy(1));
  await water.plane.until("it is given back", () => second.control.some(({ type }) => type === "released"));
  expect(second.control).toMatchObject([
    { type: "released", reason: "It needs 1 × a100; this worker has 0 × a100 free." },
  ]);
  await writeFile(join(water.dir, "go"), "");
  await water.plane.untilEnded(first);
  const third = water.plane.submit(await deploy(2));
  expect(await water.plane.untilEnded(third)).toMatchObject({ outcome: "completed" });
});

test("after kill -9 of the worker the process that lives keeps its device, and it is free once that ends", async () => {
  const worker = await workers.start(water, { capacity: 3, compute });
  const first = water.plane.submit(await deploy(1));
  await shows(first);
  await killNine(worker);
  await workers.start(water, { capacity: 3, compute });
  await water.plane.until("it is back", () => water.plane.sessions.length === 2);
  const second = water.plane.submit(await deploy(1));
  await shows(second);
  expect([devicesOf(first), devicesOf(second)].sort()).toEqual(["GPU-1", "GPU-2"]);
  const third = water.plane.submit(await deploy(1));
  await water.plane.until("there is none for a third", () =>
    third.control.some(({ type }) => type === "released"),
  );
  await writeFile(join(water.dir, "go"), "");
  for (const one of [first, second])
    expect(await water.plane.untilEnded(one)).toMatchObject({ outcome: "completed" });
  const fourth = water.plane.submit(await deploy(2));
  expect(await water.plane.untilEnded(fourth)).toMatchObject({ outcome: "completed" });
});

test("a device is free again once the process that had it was killed", async () => {
  await water.start({ capacity: 3, compute });
  const first = water.plane.submit(await deploy(2, "never"));
  await shows(first);
  water.plane.cancel(first);
  await water.plane.untilEnded(first);
  const second = water.plane.submit(await deploy(2));
  await shows(second);
  await writeFile(join(water.dir, "go"), "");
  await water.plane.untilEnded(second);
});
