import { setTimeout as pause } from "node:timers/promises";
import { uuidv7 } from "@towpath/contract";
import type { DeploymentName } from "../flows.ts";
import { startProxy } from "../proxy.ts";
import { type CreatedRun, type Scene, TIMES } from "../scene.ts";
import type { KindName } from "../travel/kinds.ts";
import { allCompleted, type Case } from "./case.ts";
import { instantsDecided } from "./instants.ts";

/** The work around the restore point. */
interface Load {
  /** Work that the database still knows after it went back. */
  before(scene: Scene): Promise<void>;
  /** Work that the database has forgotten: at most workers know it. */
  after(scene: Scene): Promise<void>;
  /** What people do once the database is back. */
  finish?(scene: Scene): Promise<void>;
  /** What must hold beside the invariants. */
  expect?(scene: Scene): Promise<string[]>;
}

const PLACES = 4;

async function stateOf(scene: Scene, { id }: CreatedRun): Promise<string | null> {
  const [row] = await scene.sql<{ state: string }[]>`select state from run where id = ${id}`.catch(() => []);
  return row?.state ?? null;
}

async function untilState(scene: Scene, run: CreatedRun, state: string): Promise<void> {
  await scene.wait(
    `${run.deployment} ${run.id} to be ${state}`,
    async () => (await stateOf(scene, run)) === state,
  );
}

/** Creates one run and waits for its first step, if it can start. */
async function createOne(
  scene: Scene,
  deployment: DeploymentName,
  args: { steps: number; begins?: boolean },
): Promise<CreatedRun> {
  const [run] = await scene.create(deployment, 1, { steps: args.steps });
  if (run === undefined) throw new Error("No run was made.");
  if (args.begins !== false) await untilStep(scene, run);
  return run;
}

function untilStep(scene: Scene, { id }: CreatedRun): Promise<void> {
  return scene.until(`a step of ${id}`, (lines) =>
    lines.some(({ run, what }) => run === id && what === "step"),
  );
}

/**
 * Runs that ended before the point, ended after it, are under way all the time, were waiting for a worker at the point and ended
 * after it, or were created after it. One is cancelled after it, and a client follows another one's stream.
 */
function runs(): Load {
  const made: Record<string, CreatedRun> = {};
  let told: Promise<unknown> = Promise.resolve();
  return {
    async before(scene) {
      made.over = await createOne(scene, "once", { steps: 2 });
      await untilState(scene, made.over, "completed");
      made.long = await createOne(scene, "once", { steps: 90 });
      // The client must still learn of the run's end.
      told = scene.stack.waitForRun(made.long.id);
      told.catch(() => {});
      made.longer = await createOne(scene, "stopping", { steps: 90 });
      made.victim = await createOne(scene, "stopping", { steps: 200 });
      made.ends = await createOne(scene, "once", { steps: 20 });
      made.queued = await createOne(scene, "once", { steps: 4, begins: false });
    },
    async after(scene) {
      const { ends, queued, victim } = made;
      if (!ends || !queued || !victim) return;
      await untilState(scene, ends, "completed");
      await untilState(scene, queued, "completed");
      await scene.cancel(victim);
      await untilState(scene, victim, "cancelled");
      await createOne(scene, "once", { steps: 90 });
      await createOne(scene, "once", { steps: 1, begins: false });
    },
    async finish() {
      await told;
    },
    async expect(scene) {
      const strict = [made.over, made.long, made.ends, made.queued].flatMap((run) => run ?? []);
      const rows = await scene.sql<{ id: string; state: string; attempts: number }[]>`
        select id, state, attempts from run where id = any(${strict.map(({ id }) => id)})
          and (state <> 'completed' or attempts <> 1)`;
      return rows.map(({ id, state, attempts }) => `run ${id} is ${state} after ${attempts} attempts`);
    },
  };
}

/** Answers a run's question, if it has one. */
async function answer(scene: Scene, { id }: CreatedRun): Promise<void> {
  const { client } = scene.stack;
  const { items } = await client.listWaits({ params: { runId: id } });
  const open = items.find(({ state }) => state === "open");
  if (open !== undefined)
    await client.answerWait({ params: { runId: id, waitId: open.id }, body: { answer: { go: true } } });
}

/** Runs that were answered before the point, after it, and once the database is back; and one that sleeps across the point. */
function waits(): Load {
  const made: CreatedRun[] = [];
  return {
    async before(scene) {
      for (let count = 0; count < 3; count++)
        made.push(await createOne(scene, "asking", { steps: 60, begins: false }));
      for (const run of made) await untilState(scene, run, "suspended");
      const [first] = made;
      if (first === undefined) return;
      await answer(scene, first);
      await untilStep(scene, first);
      const napping = await createOne(scene, "napping", { steps: 60, begins: false });
      made.push(napping);
      await scene.wait("a nap", async () => {
        const waits = await scene.sql`select id from wait where run_id = ${napping.id}`;
        return waits.length > 0;
      });
    },
    async after(scene) {
      const [, second, , napping] = made;
      if (!second || !napping) return;
      await answer(scene, second);
      await untilStep(scene, second);
      await untilStep(scene, napping);
    },
    async finish(scene) {
      const [, second, third] = made;
      for (const run of [second, third])
        if (run !== undefined)
          await scene.wait("an answer", async () => {
            await answer(scene, run).catch(() => {});
            return (await stateOf(scene, run)) !== "suspended";
          });
    },
  };
}

/** How often the scenes' schedules are due, milliseconds. */
const EVERY_MS = 1_000;

/** A schedule that has runs before the point, after it, and once the database is back. */
function schedules(): Load {
  const ended = async (scene: Scene, count: number) => {
    const [row] = await scene.sql<{ ended: number }[]>`
      select count(*)::int as ended from run where state = 'completed'`.catch(() => []);
    return (row?.ended ?? 0) >= count;
  };
  return {
    async before(scene) {
      await scene.stack.client.setSchedule({
        params: { name: "timed" },
        body: {
          name: "often",
          timing: { kind: "interval", everyMs: EVERY_MS },
          catchUp: "all",
          parameters: { ledger: scene.ledgerPath, steps: 6 },
        },
      });
      await scene.wait("runs of the schedule", () => ended(scene, 2));
    },
    after: (scene) => scene.wait("more runs of the schedule", () => ended(scene, 4)),
    async finish(scene) {
      const often = { params: { name: "timed", schedule: "often" } };
      await scene.wait("runs after the return", () => ended(scene, 6));
      await scene.wait("a pause", () =>
        scene.stack.client.pauseSchedule(often).then(
          () => true,
          () => false,
        ),
      );
    },
    expect: (scene) => instantsDecided(scene, EVERY_MS),
  };
}

/** Two slots for four runs: two runs had them at the point, the other two got them later. */
function limits(): Load {
  let made: CreatedRun[] = [];
  return {
    async before(scene) {
      for (const steps of [14, 14]) made.push(await createOne(scene, "limited", { steps }));
      made = [...made, ...(await scene.create("limited", 2, { steps: 60 }))];
    },
    async after(scene) {
      const [first, second, third, fourth] = made;
      if (!first || !second || !third || !fourth) return;
      for (const run of [first, second]) await untilState(scene, run, "completed");
      for (const run of [third, fourth]) await untilStep(scene, run);
    },
  };
}

const DAY_MS = 24 * 3_600_000;
const DAYS = 6;
const day = (number: number) => new Date(Date.UTC(2026, 0, 1) + number * DAY_MS).toISOString();

/** A backfill that had created some of its runs at the point, and one that was requested later. */
function backfills(): Load {
  const asked = uuidv7(Date.now());
  const begin = (scene: Scene, id: string, days: number) =>
    scene.stack.client.createBackfill({
      params: { name: "timed" },
      body: { id, schedule: "daily", from: day(0), to: day(days), concurrency: 2 },
    });
  const facts = async (scene: Scene) => {
    const [row] = await scene.sql<{ state: string; ended: number; created: number; instants: number }[]>`
      select state, created, (select count(*)::int from backfill_run where completed) as ended,
        (select count(distinct at)::int from backfill_run where backfill_id = b.id) as instants
      from backfill b where id = ${asked}`.catch(() => []);
    return row;
  };
  return {
    async before(scene) {
      const { client } = scene.stack;
      await client.setSchedule({
        params: { name: "timed" },
        body: {
          name: "daily",
          timing: { kind: "cron", cron: "0 0 * * *" },
          startsAt: "2020-01-01T00:00:00.000Z",
          parameters: { ledger: scene.ledgerPath, steps: 10 },
        },
      });
      await client.pauseSchedule({ params: { name: "timed", schedule: "daily" } });
      await begin(scene, asked, DAYS);
      await scene.begun(2);
    },
    async after(scene) {
      await scene.begun(4);
      await begin(scene, uuidv7(Date.now()), 2);
    },
    finish: (scene) =>
      scene.wait("the backfill's end", async () => (await facts(scene))?.state === "completed"),
    async expect(scene) {
      const [row, others] = [
        await facts(scene),
        await scene.sql`select id from run where trigger::jsonb ->> 'kind' = 'backfill'
          and trigger::jsonb ->> 'backfillId' <> ${asked}`,
      ];
      const whole = row?.state === "completed" && row.created === DAYS && row.instants === DAYS;
      return [
        ...(whole ? [] : [`the backfill is ${JSON.stringify(row)}`]),
        ...(others.length === 0 ? [] : [`${others.length} runs of a backfill that was lost are there`]),
      ];
    },
  };
}

const LOADS = { runs, waits, schedules, limits, backfills } as const satisfies Record<string, () => Load>;

/** How workers experience it: they stay connected, are disconnected throughout, or are killed and restarted meanwhile. */
type Workers = "connected" | "away" | "restarting";

/** Whether the control plane's process survives. */
type Control = "stays" | "restarts";

interface Journey {
  readonly kind: KindName;
  readonly load: keyof typeof LOADS;
  readonly workers: Workers;
  readonly control: Control;
}

/** How long an absent worker stays away once the database is back: longer than a lease. */
const AWAY_MS = TIMES.leaseMs * 1.5;

async function strike(scene: Scene, { workers, control }: Journey, link: { down(): void; up(): void }) {
  const back = Promise.withResolvers<void>();
  const returns: Promise<void>[] = [];
  if (workers === "away") link.down();
  await scene.goBack(() => {
    const [keeper] = scene.workers.values();
    if (workers === "restarting" && keeper) returns.push(keeper.away(back.promise));
    if (control === "restarts") returns.push(scene.controlAway(back.promise));
  });
  back.resolve();
  await Promise.all(returns);
  if (workers !== "away") return;
  await pause(AWAY_MS);
  link.up();
}

function journey(one: Journey): Case {
  const load: { current?: Load } = {};
  return {
    name: `travel-${one.kind}@${one.load}`,
    travel: one.kind,
    loads: true,
    async act(scene) {
      load.current = LOADS[one.load]();
      const link = scene.use(await startProxy({ target: scene.stack.url, random: scene.random }));
      await scene.journey.prepare();
      await scene.worker({ settings: { capacity: PLACES, url: link.url } });
      await load.current.before(scene);
      await scene.markPoint();
      await load.current.after(scene);
      await strike(scene, one, link);
      await load.current.finish?.(scene);
    },
    expect: async (scene) => [
      ...(await allCompleted(scene)),
      ...((await load.current?.expect?.(scene)) ?? []),
    ],
  };
}

/**
 * Databases that go back in time. At least one case covers each pair of a way to go back, a kind of work, and a state of the
 * workers.
 */
const JOURNEYS: readonly Journey[] = [
  { kind: "pitr", load: "runs", workers: "connected", control: "stays" },
  { kind: "pitr", load: "waits", workers: "away", control: "restarts" },
  { kind: "pitr", load: "schedules", workers: "restarting", control: "stays" },
  { kind: "pitr", load: "limits", workers: "connected", control: "restarts" },
  { kind: "pitr", load: "backfills", workers: "away", control: "stays" },
  { kind: "snapshot", load: "runs", workers: "away", control: "stays" },
  { kind: "snapshot", load: "waits", workers: "restarting", control: "stays" },
  { kind: "snapshot", load: "schedules", workers: "connected", control: "restarts" },
  { kind: "snapshot", load: "limits", workers: "away", control: "stays" },
  { kind: "snapshot", load: "backfills", workers: "restarting", control: "restarts" },
  { kind: "standby", load: "runs", workers: "restarting", control: "restarts" },
  { kind: "standby", load: "waits", workers: "connected", control: "stays" },
  { kind: "standby", load: "schedules", workers: "away", control: "restarts" },
  { kind: "standby", load: "limits", workers: "restarting", control: "stays" },
  { kind: "standby", load: "backfills", workers: "connected", control: "stays" },
];

/** The rows of the matrix in which the database goes back. */
export const TRAVEL_CASES: readonly Case[] = JOURNEYS.map(journey);
