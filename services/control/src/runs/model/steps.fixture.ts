import fc from "fast-check";
import { JOB_REPORTS } from "./jobs.fixture.ts";
import { SENDINGS } from "./log.fixture.ts";
import { ASKED, type WaitPath } from "./waits.fixture.ts";

/** How many runs and workers a history has. */
export const RUNS = 3;
export const WORKERS = 2;
/** How many control planes share the database. Each worker uses one of them. */
export const PLANES = 2;

const who = { worker: fc.nat(WORKERS - 1), claim: fc.nat(3) };
const asked = { run: fc.nat(RUNS - 1), at: fc.nat(PLANES - 1) };
const path = fc.constantFrom(...(Object.keys(ASKED) as WaitPath[]));
const does = <const What extends string>(what: What) => ({ do: fc.constant(what) });

/**
 * The steps of a history: independent actions of people, workers and time. A new kind of step is added here and in
 * `History.apply`.
 */
export const step = fc.oneof(
  // The combined statement applies a start or an end that is reported alone. The general form applies one among other records.
  // A run with an idempotency key may also be requested with another id.
  { weight: 3, arbitrary: fc.record({ ...does("create"), ...asked, twin: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ ...does("cancel"), ...asked }) },
  {
    weight: 7,
    arbitrary: fc.record({
      ...does("poll"),
      worker: fc.nat(WORKERS - 1),
      forget: fc.nat(7).map((dice) => dice === 0),
      lost: fc.nat(5).map((dice) => dice === 0),
    }),
  },
  // A run is created on the control plane where a worker's poll waits.
  {
    weight: 2,
    arbitrary: fc.record({ ...does("meet"), worker: fc.nat(WORKERS - 1), run: fc.nat(RUNS - 1) }),
  },
  { weight: 7, arbitrary: fc.record({ ...does("start"), ...who, alone: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ ...does("renew"), ...who }) },
  { weight: 2, arbitrary: fc.record({ ...does("release"), ...who }) },
  { weight: 2, arbitrary: fc.record({ ...does("task"), ...who }) },
  // A flow writes log lines. Its worker may send some of them after the end.
  {
    weight: 5,
    arbitrary: fc.record({
      ...does("log"),
      ...who,
      lines: fc.integer({ min: 1, max: 3 }),
      back: fc.nat(2),
      skip: fc.constantFrom(0, 0, 0, 2),
      dropped: fc.nat(4).map((dice) => dice === 0),
      sent: fc.constantFrom(...SENDINGS),
    }),
  },
  { weight: 1, arbitrary: fc.record({ ...does("rest"), ...who }) },
  {
    weight: 6,
    arbitrary: fc.record({
      ...does("end"),
      ...who,
      outcome: fc.constantFrom("completed", "failed", "failed", "cancelled", "refused"),
      cause: fc.constantFrom(null, "error", "evicted", "oom"),
      alone: fc.boolean(),
      /** Whether the report also polls for work, and whether that answer is lost. */
      asks: fc.boolean(),
      lost: fc.nat(5).map((dice) => dice === 0),
    }),
  },
  // A flow asks for waits. It may then be suspended until one of them is settled.
  { weight: 3, arbitrary: fc.record({ ...does("ask"), ...who, path, again: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      ...does("suspend"),
      ...who,
      paths: fc.uniqueArray(path, { minLength: 1 }),
      overtaken: fc.boolean(),
      /** Whether the flow has a hook for a cancellation. */
      hook: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ ...does("answer"), ...asked, path }) },
  { weight: 2, arbitrary: fc.record({ ...does("event"), at: fc.nat(PLANES - 1) }) },
  // A flow submits its job, workers report on jobs, and a backend calls back.
  { weight: 2, arbitrary: fc.record({ ...does("handle"), ...who }) },
  {
    weight: 4,
    arbitrary: fc.record({
      ...does("tend"),
      worker: fc.nat(WORKERS - 1),
      report: fc.constantFrom(...JOB_REPORTS),
      lost: fc.nat(5).map((dice) => dice === 0),
      forget: fc.nat(7).map((dice) => dice === 0),
    }),
  },
  { weight: 1, arbitrary: fc.record({ ...does("callback"), ...asked, right: fc.boolean() }) },
  // The same request to every control plane at the same time.
  {
    weight: 2,
    arbitrary: fc.record({
      ...does("race"),
      run: fc.nat(RUNS - 1),
      what: fc.constantFrom("create", "twins", "cancel", "answer", "callback", "periodicJobs"),
    }),
  },
  // The number of runs of the deployment that may execute at the same time.
  { weight: 2, arbitrary: fc.record({ ...does("limit"), slots: fc.nat(3), at: fc.nat(PLANES - 1) }) },
  // A fence with a future epoch, and a fence with an unknown nonce.
  { weight: 4, arbitrary: fc.record({ ...does("forge"), ...who, what: fc.constantFrom("epoch", "nonce") }) },
  { weight: 2, arbitrary: fc.record({ ...does("pass"), seconds: fc.constantFrom(1, 6, 16, 40, 90) }) },
);

/** One step of a history. */
export type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

/** A history that reaches the states that a few random histories may miss. */
export const FAR: readonly Step[] = [
  { do: "create", run: 0, at: 0, twin: false },
  { do: "poll", worker: 0, forget: false, lost: false },
  { do: "start", worker: 0, claim: 0, alone: true },
  { do: "suspend", worker: 0, claim: 0, paths: ["question"], overtaken: false, hook: false },
  { do: "create", run: 1, at: 0, twin: false },
  { do: "poll", worker: 0, forget: false, lost: false },
  { do: "start", worker: 0, claim: 0, alone: false },
  {
    do: "end",
    worker: 0,
    claim: 0,
    outcome: "failed",
    cause: "error",
    alone: true,
    asks: false,
    lost: false,
  },
  { do: "limit", slots: 0, at: 0 },
  { do: "answer", run: 0, at: 1, path: "question" },
  { do: "create", run: 2, at: 1, twin: false },
  { do: "cancel", run: 2, at: 0 },
  { do: "limit", slots: 3, at: 0 },
  { do: "poll", worker: 0, forget: false, lost: false },
  { do: "start", worker: 0, claim: 0, alone: true },
  { do: "ask", worker: 0, claim: 0, path: "job", again: true },
  { do: "handle", worker: 0, claim: 0 },
  { do: "suspend", worker: 0, claim: 0, paths: ["job"], overtaken: false, hook: false },
  { do: "tend", worker: 1, report: "nothing", lost: false, forget: false },
  { do: "tend", worker: 1, report: "completed", lost: false, forget: false },
];

/** A history whose run is cancelled while it waits for its job. Then another worker cancels the job. */
export const FAR_JOB: readonly Step[] = [
  { do: "create", run: 0, at: 0, twin: false },
  { do: "poll", worker: 0, forget: false, lost: false },
  { do: "start", worker: 0, claim: 0, alone: false },
  { do: "ask", worker: 0, claim: 0, path: "job", again: true },
  { do: "handle", worker: 0, claim: 0 },
  { do: "suspend", worker: 0, claim: 0, paths: ["job"], overtaken: false, hook: false },
  { do: "tend", worker: 0, report: "nothing", lost: false, forget: false },
  { do: "cancel", run: 0, at: 1 },
  { do: "pass", seconds: 90 },
  { do: "tend", worker: 1, report: "nothing", lost: false, forget: false },
  { do: "tend", worker: 0, report: "cancelled", lost: false, forget: false },
  { do: "tend", worker: 1, report: "cancelled", lost: false, forget: false },
];

/** A history with log lines from two claims of one attempt. Some are repeated, missing or dropped, and some arrive after the end. */
export const FAR_LINES: readonly Step[] = [
  { do: "create", run: 0, at: 0, twin: false },
  { do: "create", run: 0, at: 1, twin: true },
  { do: "poll", worker: 0, forget: false, lost: false },
  { do: "log", worker: 0, claim: 0, lines: 2, back: 0, skip: 0, dropped: false, sent: "in order" },
  { do: "release", worker: 0, claim: 0 },
  { do: "pass", seconds: 6 },
  { do: "poll", worker: 1, forget: false, lost: false },
  { do: "start", worker: 1, claim: 0, alone: true },
  { do: "log", worker: 1, claim: 0, lines: 2, back: 0, skip: 2, dropped: false, sent: "and hears nothing" },
  { do: "log", worker: 1, claim: 0, lines: 1, back: 2, skip: 0, dropped: false, sent: "all again" },
  { do: "log", worker: 1, claim: 0, lines: 3, back: 1, skip: 0, dropped: true, sent: "in order" },
  { do: "log", worker: 1, claim: 0, lines: 1, back: 0, skip: 0, dropped: false, sent: "with a hole" },
  { do: "end", worker: 1, claim: 0, outcome: "completed", cause: null, alone: true, asks: true, lost: false },
  { do: "rest", worker: 1, claim: 0 },
];

/**
 * A history whose run is cancelled while it is suspended, and whose flow has a hook. The first worker does not know attempts that
 * run only a hook. The second loses one before its start, and takes it again.
 */
export const FAR_HOOK: readonly Step[] = [
  { do: "create", run: 0, at: 0, twin: false },
  { do: "poll", worker: 0, forget: false, lost: false },
  { do: "start", worker: 0, claim: 0, alone: true },
  { do: "suspend", worker: 0, claim: 0, paths: ["question"], overtaken: false, hook: true },
  { do: "cancel", run: 0, at: 0 },
  { do: "cancel", run: 0, at: 1 },
  { do: "poll", worker: 0, forget: false, lost: false },
  { do: "poll", worker: 1, forget: false, lost: true },
  { do: "poll", worker: 1, forget: false, lost: false },
  { do: "release", worker: 1, claim: 0 },
  { do: "answer", run: 0, at: 0, path: "question" },
  { do: "pass", seconds: 6 },
  // The first answer only says that the released claim is over.
  { do: "poll", worker: 1, forget: false, lost: false },
  { do: "poll", worker: 1, forget: false, lost: false },
  { do: "start", worker: 1, claim: 0, alone: true },
  { do: "renew", worker: 1, claim: 0 },
  { do: "limit", slots: 1, at: 0 },
  { do: "end", worker: 1, claim: 0, outcome: "completed", cause: null, alone: true, asks: true, lost: false },
];
