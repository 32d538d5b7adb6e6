import type { CalledRun, Checkpoint } from "@towpath/contract";
import { fakeClock, systemClock } from "./clock.ts";
import type { Due } from "./engine/context.ts";
import type { RunEnd } from "./engine/hooks.ts";
import type { Host, RunCall, RunFacts } from "./engine/host.ts";
import type { ArtifactDraft, LogDraft, RecordDraft } from "./engine/records.ts";
import { type RunnableFlow, runFlowIn } from "./engine/run-flow.ts";
import { localFacts } from "./engine/run-here.ts";
import type { Flow } from "./flow.ts";
import type { InputOf, StandardSchema } from "./input/standard-schema.ts";
import { noteHandle, type OwnJobs } from "./jobs/own-jobs.ts";
import { Cancelled, OutsideOfRun } from "./problem.ts";
import type { FakeResource } from "./resources/resource.ts";
import { memoryStore } from "./store/memory-store.ts";
import type { Store } from "./store/store.ts";
import { type Answers, type AskedTime, waitsFor } from "./testing/answers.ts";
import { type KillAfter, Life, mortal, NothingToResume, sinkInto, storeFor } from "./testing/life.ts";
import { checkpointsOf, executionsOf, type TestedTask, toldBy } from "./testing/told.ts";

export { type AskedLine, readAsked } from "./testing/answered-later.ts";
export { EXPIRED } from "./testing/answers.ts";
export {
  type JournalLine,
  type JournalledAttempt,
  readJournal,
  runJournalled,
} from "./testing/journalled.ts";

/** Options of one attempt of a flow in a test. */
export interface AttemptOptions {
  /** Values of its secrets, by name. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Fakes that replace resources: `[warehouse.fake(…)]`. Other resources are opened as declared. */
  readonly resources?: readonly FakeResource[];
  /** On the fake clock, delays before retries take no time. Time limits are real on both. @default "fake" */
  readonly clock?: "fake" | "system";
  /**
   * Ends the attempt like `kill -9`, as soon as this many tasks have completed, or the first task of this name or path.
   * Later output of its code is ignored, and no `catch` or `finally` runs. `resume()` continues from what was stored. A
   * running task continues until its next call to Towpath, and may still change the test's own variables.
   */
  readonly killAfter?: KillAfter;
  /** Aborting it cancels the run. */
  readonly signal?: AbortSignal;
  /** Answers the flow's calls to the control plane, such as `ctx.runDeployment`. */
  readonly call?: (call: RunCall["call"]) => Promise<CalledRun>;
  /**
   * Answers to waits: by the title of a question, the name of an event (`"name key"` with a key), the id of a run, or
   * the name of a job. A job without an answer is polled until it ends, once the run is resumed. `EXPIRED` lets a
   * deadline pass. Without an answer, the run is suspended.
   */
  readonly answers?: Answers;
}

/** Options of a run in a test. */
export interface TestOptions extends AttemptOptions {
  /** The due time of a scheduled run. @default none */
  readonly due?: Due;
  /** @default a store in memory for this run only */
  readonly store?: Store;
}

/** One attempt of a run, and all its records. */
export interface TestedRun<Result, Input = unknown> {
  readonly runId: string;
  /** The run's name, if its flow gives one. */
  readonly name: string | null;
  /** Ordinal of the attempt, from 1. */
  readonly attempt: number;
  readonly outcome: "completed" | "failed" | "cancelled" | "suspended" | "killed";
  /** The paths of its waits, if it was suspended. */
  readonly waits: readonly string[];
  /** The flow's result; undefined unless it completed. */
  readonly result: Result | undefined;
  /** The thrown value; undefined if it completed or was killed. */
  readonly error: unknown;
  readonly records: readonly RecordDraft[];
  /** In the order of their calls. */
  readonly tasks: readonly TestedTask[];
  /** How often each task's function was called, by task name, in this and all earlier attempts. */
  readonly executions: Readonly<Record<string, number>>;
  readonly logs: readonly LogDraft[];
  /** The latest artifact under each key. */
  readonly artifacts: ReadonlyMap<string, ArtifactDraft>;
  readonly store: Store;
  /**
   * Starts the next attempt of this run. It reuses completed tasks, and has the options of this attempt except
   * `killAfter` and `signal`.
   * @throws NothingToResume if this attempt has completed.
   */
  resume(options?: AttemptOptions): Promise<TestedRun<Result, Input>>;
  /** Starts a new run, with another input if given, that reuses valid results of this run. */
  rerun(input?: Input, options?: AttemptOptions): Promise<TestedRun<Result, Input>>;
}

/** The state that attempts of a run share. */
interface Attempt<Schema extends StandardSchema, Result> {
  readonly flow: Flow<Schema, Result>;
  readonly input: InputOf<Schema> | undefined;
  readonly options: TestOptions;
  readonly facts: RunFacts;
  /** The first run of a chain of reruns. */
  readonly origin: string;
  readonly store: Store;
  readonly earlier: readonly Checkpoint[];
  readonly executions: Readonly<Record<string, number>>;
  /** When timed waits of the run end, by path. */
  readonly asked: Map<string, AskedTime>;
  /** The external jobs of the run, by path. */
  readonly jobs: OwnJobs;
}

function cancellation(signal: AbortSignal | undefined): AbortSignal {
  const controller = new AbortController();
  const onAbort = () => controller.abort(new Cancelled("the test asked for it"));
  if (signal?.aborted) onAbort();
  else signal?.addEventListener("abort", onAbort, { once: true });
  return controller.signal;
}

function wireDue({ schedule, interval }: Due): RunFacts["due"] {
  return { schedule, at: interval.end.toISOString(), intervalStart: interval.start.toISOString() };
}

function factsOf(flow: string, due: Due | undefined): RunFacts {
  return { ...localFacts(flow), due: due === undefined ? null : wireDue(due) };
}

function hostOf<Schema extends StandardSchema>(
  args: Attempt<Schema, unknown>,
  records: RecordDraft[],
  life: Life,
): Host {
  const { secrets = {}, call, resources = [], clock, signal } = args.options;
  const earlier = args.earlier.length > 0 ? async () => ({ items: [...args.earlier], next: null }) : null;
  const hostClock = clock === "system" ? systemClock : fakeClock();
  const host: Host = {
    facts: args.facts,
    parameters: args.input ?? {},
    records: sinkInto(records, life),
    store: storeFor(args.store, life),
    resume: { origin: args.origin, codeVersions: {}, code: null, earlier, keeps: true },
    clock: hostClock,
    random: Math.random,
    secret: (name) => {
      const value = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
      return value === undefined ? { next: "Give testRun the option secrets." } : { value };
    },
    resource: (name) => {
      const found = resources.find((one) => one.name === name);
      return found ? { fake: found.value } : { overrides: undefined };
    },
    call: async (asked) => {
      const noted = noteHandle(args.jobs, asked, args.facts.runId);
      if (noted !== null) return noted;
      if (call) return await call(asked.call);
      throw new OutsideOfRun("A call to the control plane", "Give testRun the option call.");
    },
    waits: waitsFor(args.asked, {
      answers: args.options.answers ?? {},
      facts: args.facts,
      clock: hostClock,
      life,
      jobs: args.jobs,
      store: args.store,
    }),
    poolOf: null,
    task: null,
    watchdog: null,
    cancelled: cancellation(signal),
  };
  return mortal(host, life);
}

type AttemptEnd = RunEnd | { readonly outcome: "killed" };

/** Runs until the flow ends or the attempt is killed. */
async function endOf(flow: RunnableFlow, host: Host, life: Life): Promise<AttemptEnd> {
  const killed = new Promise<AttemptEnd>((resolve) => {
    life.over.addEventListener("abort", () => resolve({ outcome: "killed" }), { once: true });
  });
  return await Promise.race([runFlowIn(flow, host), killed]);
}

/** Gives the result the type of the flow. */
function resultOf<Result>(value: unknown): Awaited<Result> {
  return value as Awaited<Result>;
}

async function tested<Schema extends StandardSchema, Result>(
  args: Attempt<Schema, Result>,
): Promise<TestedRun<Awaited<Result>, InputOf<Schema>>> {
  const { killAfter, signal: _signal, ...inherited } = args.options;
  const records: RecordDraft[] = [];
  const life = new Life(killAfter);
  const end = await endOf(args.flow, hostOf(args, records, life), life);
  const held = [...args.earlier, ...checkpointsOf(records)];
  const executions = executionsOf(args.executions, records);
  const { facts } = args;
  return {
    runId: facts.runId,
    attempt: facts.attempt,
    outcome: end.outcome,
    waits: end.outcome === "suspended" ? end.waits : [],
    result: end.outcome === "completed" ? resultOf<Result>(end.value) : undefined,
    error: end.outcome === "failed" || end.outcome === "cancelled" ? end.error : undefined,
    ...toldBy(records),
    executions,
    store: args.store,
    async resume(options = {}) {
      if (end.outcome === "completed") throw new NothingToResume(killAfter);
      const next = { ...facts, attempt: facts.attempt + 1, attemptId: localFacts(args.flow.name).attemptId };
      return await tested({
        ...args,
        options: { ...inherited, ...options },
        facts: next,
        earlier: held,
        executions,
      });
    },
    async rerun(input = args.input, options = {}) {
      const next = { ...facts, ...localFacts(args.flow.name), due: facts.due };
      const earlier = held.map((one) => ({ ...one, own: false }));
      const own = {
        options: { ...inherited, ...options },
        facts: next,
        earlier,
        executions: {},
        asked: new Map(),
        jobs: new Map(),
      };
      return await tested({ ...args, input, ...own });
    },
  };
}

/**
 * Runs a flow in this process without a worker, and returns all its records. It never rejects for an error of the flow:
 * check `outcome` and `error`.
 * @throws InvalidDefinition if `killAfter` is neither a number nor a name.
 * @example
 * const run = await testRun(penguins, { island: "Dream" }, { killAfter: "read" });
 * const resumed = await run.resume();
 * expect(resumed.outcome).toBe("completed");
 * expect(resumed.executions.read).toBe(1);
 */
export async function testRun<Schema extends StandardSchema, Result>(
  flow: Flow<Schema, Result>,
  input?: InputOf<Schema>,
  options: TestOptions = {},
): Promise<TestedRun<Awaited<Result>, InputOf<Schema>>> {
  const facts = factsOf(flow.name, options.due);
  const store = options.store ?? memoryStore();
  const origin = facts.runId;
  const asked = new Map<string, AskedTime>();
  const made = { earlier: [], executions: {}, asked, jobs: new Map() };
  return await tested({ flow, input, options, facts, origin, store, ...made });
}
