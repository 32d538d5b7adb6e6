import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeAttempt, linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { killNine, WorkerProcesses } from "./testing/worker-process.fixture.ts";

let testEnv: WorkerTestEnv;
const workers = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await workers.end();
  await testEnv.close();
});

const GPUS = [
  { id: "GPU-1", kind: "a100" },
  { id: "GPU-2", kind: "a100" },
];
const compute = { cpu: 4, memory: "8 GiB", gpus: GPUS };
const SHOW = 'await gateway.log("gpus [" + process.env.CUDA_VISIBLE_DEVICES + "]");';

/** A flow that logs its devices, and goes on until a file exists. */
const deploy = (count: number, flag = "go") =>
  testEnv.deployFlow(
    `const fs = await import("node:fs"); ${SHOW}
     while (!fs.existsSync(process.env.FLAG)) await new Promise((r) => setTimeout(r, 20));`,
    {
      env: { FLAG: join(testEnv.dir, flag), CUDA_VISIBLE_DEVICES: "7" },
      ...(count > 0 && { compute: { gpu: { count, kind: "a100" } } }),
    },
  );
const devicesOf = (attempt: FakeAttempt) =>
  linesOf(attempt)
    .join()
    .replace(/.*\[(.*)\].*/, "$1");
const shows = (attempt: FakeAttempt) =>
  testEnv.plane.until("it tells its devices", () => linesOf(attempt).some((line) => line.includes("gpus [")));
const freeNow = () => testEnv.plane.claims.at(-1)?.amounts;

test("each attempt sees the devices that are its own, and one that needs none sees none", async () => {
  await testEnv.start({ capacity: 3, compute });
  expect(testEnv.plane.sessions[0]?.amounts).toEqual({ cpu: 4, memory: 8 * 2 ** 30, gpu: 2, "gpu:a100": 2 });
  const one = await deploy(1);
  const attempts = [
    testEnv.plane.submit(one),
    testEnv.plane.submit(one),
    testEnv.plane.submit(await deploy(0)),
  ];
  for (const attempt of attempts) await shows(attempt);
  expect(attempts.slice(0, 2).map(devicesOf).sort()).toEqual(["GPU-1", "GPU-2"]);
  expect(attempts.slice(2).map(devicesOf)).toEqual([""]);
  await testEnv.plane.until("it says what is free", () => freeNow()?.gpu === 0);
  expect(freeNow()).toMatchObject({ cpu: 4, gpu: 0, "gpu:a100": 0 });
  await writeFile(join(testEnv.dir, "go"), "");
  for (const attempt of attempts) await testEnv.plane.untilEnded(attempt);
  await testEnv.plane.until("all is free again", () => freeNow() === undefined);
});

test("an attempt whose signed amounts are not free is given back, whatever the control plane says", async () => {
  await testEnv.start({ capacity: 3, compute });
  const first = testEnv.plane.submit(await deploy(2));
  await shows(first);
  const second = testEnv.plane.submit(await deploy(1));
  await testEnv.plane.until("it is given back", () => second.control.some(({ type }) => type === "released"));
  expect(second.control).toMatchObject([
    { type: "released", reason: "It needs 1 × a100; this worker has 0 × a100 free." },
  ]);
  await writeFile(join(testEnv.dir, "go"), "");
  await testEnv.plane.untilEnded(first);
  const third = testEnv.plane.submit(await deploy(2));
  expect(await testEnv.plane.untilEnded(third)).toMatchObject({ outcome: "completed" });
});

test("after kill -9 of the worker the process that lives keeps its device, and it is free once that ends", async () => {
  const worker = await workers.start(testEnv, { capacity: 3, compute });
  const first = testEnv.plane.submit(await deploy(1));
  await shows(first);
  await killNine(worker);
  await workers.start(testEnv, { capacity: 3, compute });
  await testEnv.plane.until("it is back", () => testEnv.plane.sessions.length === 2);
  const second = testEnv.plane.submit(await deploy(1));
  await shows(second);
  expect([devicesOf(first), devicesOf(second)].sort()).toEqual(["GPU-1", "GPU-2"]);
  const third = testEnv.plane.submit(await deploy(1));
  await testEnv.plane.until("there is none for a third", () =>
    third.control.some(({ type }) => type === "released"),
  );
  await writeFile(join(testEnv.dir, "go"), "");
  for (const one of [first, second])
    expect(await testEnv.plane.untilEnded(one)).toMatchObject({ outcome: "completed" });
  const fourth = testEnv.plane.submit(await deploy(2));
  expect(await testEnv.plane.untilEnded(fourth)).toMatchObject({ outcome: "completed" });
});

test("a device is free again once the process that had it was killed", async () => {
  await testEnv.start({ capacity: 3, compute });
  const first = testEnv.plane.submit(await deploy(2, "never"));
  await shows(first);
  testEnv.plane.cancel(first);
  await testEnv.plane.untilEnded(first);
  const second = testEnv.plane.submit(await deploy(2));
  await shows(second);
  await writeFile(join(testEnv.dir, "go"), "");
  await testEnv.plane.untilEnded(second);
});
