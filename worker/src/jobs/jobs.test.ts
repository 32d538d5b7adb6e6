import { newWorkspaceKey, ORIGINS, type Session, type TendedJob, uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { expect, test } from "vitest";
import { WorkerKeyring } from "../sealing/index.ts";
import { Jobs } from "./jobs.ts";
import { type PollerDeps, Pollers } from "./pollers.ts";

const id = () => uuidv7(Date.UTC(2026, 0, 1));
const workspaceId = id();
const job: TendedJob = {
  jobId: id(),
  lease: id(),
  runId: id(),
  deployment: "train",
  version: 1,
  job: "probe",
  handle: null,
  pollEveryMs: 1_000,
  cancel: false,
};

/** A spec whose key nobody trusts. */
const header = Buffer.from('{"alg":"EdDSA","typ":"towpath-spec+jws","kid":"mine"}').toString("base64url");
const named = { deployment: job.deployment, version: job.version, spec: `${header}.e30.e30` };
const GIVEN = { jobs: [job], specs: [named], cancel: [], gone: [], wanted: true };

/** Jobs of a worker whose session has ended. Nothing of its pollers is reached before a session and a trusted spec. */
function open(keys: readonly [string]) {
  const log = pino({ level: "silent" });
  const pauses = Array.from({ length: 6 }, () => Promise.withResolvers<void>());
  let paused = 0;
  const time = { nowMs: 0 };
  const plane = { isUp: false, asked: 0 };
  const session = async (): Promise<Session> => {
    plane.asked += 1;
    if (!plane.isUp) throw new TypeError("fetch failed");
    return { workspaceId } as Session;
  };
  const trust = { keys: { current: async () => new Map() }, clock: { nowMs: () => 0 } };
  const pollers = new Pollers({ log, trust, connection: { session } } as unknown as PollerDeps);
  const keyring = new WorkerKeyring(keys);
  const jobs = new Jobs({
    log,
    pollers,
    keyring,
    bootClock: { nowMs: () => time.nowMs },
    random: () => 0,
    sleep: async () => await pauses[paused++]?.promise,
    wake: () => {},
  });
  return { jobs, pauses, plane, keyring, time, paused: () => paused };
}

/** Passes a pause, once the worker makes it. */
async function pass(opened: ReturnType<typeof open>, index: number): Promise<void> {
  await expect.poll(opened.paused).toBe(index + 1);
  opened.pauses[index]?.resolve();
}

test("a job is asked about again although the control plane was away and the session was over", async () => {
  const opened = open([newWorkspaceKey()]);
  const { jobs, plane, keyring } = opened;
  jobs.take(GIVEN);
  await pass(opened, 0);
  await pass(opened, 1);
  await expect.poll(opened.paused).toBe(3);
  expect(plane.asked).toBeGreaterThan(0);
  expect(jobs.changes()).toEqual([]);
  expect(jobs.held()).toMatchObject([{ jobId: job.jobId }]);

  plane.isUp = true;
  await pass(opened, 2);
  await expect.poll(opened.paused).toBe(4);
  const [change] = jobs.changes();
  expect(change).toMatchObject({ type: "stumbled", jobId: job.jobId });
  const sealed = change?.type === "stumbled" ? change.detail.replace(/^sealed:/, "") : "";
  const place = { workspace: workspaceId, field: "job", origins: [ORIGINS.run(job.runId)] } as const;
  expect(keyring.unseal(sealed, place)).toContain("does not trust");
});

test("a job about which this worker cannot even ask is given back with its reason, and other workers come first", async () => {
  const opened = open([newWorkspaceKey()]);
  const { jobs, plane, time } = opened;
  plane.isUp = true;
  const free = jobs.free();
  jobs.take(GIVEN);
  for (const failed of [0, 1, 2]) await pass(opened, failed);
  // Three questions have failed. The control plane does not know why yet.
  await expect.poll(opened.paused).toBe(4);
  expect(jobs.changes()).toMatchObject([{ type: "stumbled" }]);
  expect(jobs.free()).toBe(free - 1);
  jobs.told(jobs.changes());
  await pass(opened, 3);
  await expect.poll(() => jobs.changes()).toMatchObject([{ type: "released", jobId: job.jobId }]);
  jobs.told(jobs.changes());
  expect(jobs.held()).toEqual([]);
  expect(jobs.free()).toBe(0);
  time.nowMs += 5_000;
  expect(jobs.free()).toBe(free);
});
