import type { Called, Checkpoint, FlowCall, Ref } from "@towpath/contract";
import { TASK_RUN_TRANSITIONS } from "@towpath/contract/words";
import type { Resume } from "./checkpoint/checkpoints.ts";
import { fakeClock, systemClock } from "./clock.ts";
import type { Due } from "./engine/due.ts";
import type { Host, RunFacts } from "./engine/host.ts";
import type { ArtifactDraft, LogDraft, RecordDraft, RecordSink, TaskDraft } from "./engine/records.ts";
import { runFlowIn } from "./engine/run-flow.ts";
import { localFacts } from "./engine/run-here.ts";
import type { Flow } from "./flow.ts";
import type { InputOf, StandardSchema } from "./input/standard-schema.ts";
import { Cancelled, OutsideOfRun } from "./problem.ts";
import type { FakeResource } from "./resources/resource.ts";
import { memoryStore } from "./store/memory-store.ts";
import type { Store } from "./store/store.ts";

/** What surrounds a flow in a test. */
export interface TestOptions {
  /** Values of the secrets that it may use. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Ordinal of the attempt. @default 1 */
  readonly attempt?: number;
  /** The instant of a schedule that the run is for. @default none */
  readonly due?: Due;
  /** Aborting it cancels the run. */
  readonly signal?: AbortSignal;
  /** Answers what the flow asks the control plane, such as `ctx.startRun`. */
  readonly call?: (call: FlowCall["call"]) => Promise<Called>;
  /** @default one in memory, of this run alone */
  readonly store?: Store;
  /** Makes this the next attempt of a run: it goes on from what that one has completed. */
  readonly resumes?: Pick<TestedRun<unknown>, "runId" | "attempt" | "records" | "store">;
  /** What stands in the place of resources: `[warehouse.fake(…)]`. Others are opened as declared. */
  readonly resources?: readonly FakeResource[];
  /** On the fake clock the waits before retries take no time; limits of time are real on both. @default "fake" */
  readonly clock?: "fake" | "system";
}

/** One task run as the test sees it at the end. */
export interface TestedTask {
  readonly path: string;
  readonly name: string;
  readonly state: "pending" | "running" | "retrying" | "completed" | "failed" | "cancelled";
  readonly tries: number;
  readonly result: Ref | null;
}

/** A run, and everything it told. */
export interface TestedRun<Result> {
  readonly runId: string;
  readonly attempt: number;
  readonly outcome: "completed" | "failed" | "cancelled";
  /** What the flow returned; undefined unless it completed. */
  readonly result: Result | undefined;
  /** What the flow threw; undefined if it completed. */
  readonly error: unknown;
  readonly records: readonly RecordDraft[];
  /** In order of their calls. */
  readonly tasks: readonly TestedTask[];
  readonly logs: readonly LogDraft[];
  /** The latest artifact under each key. */
  readonly artifacts: ReadonlyMap<string, ArtifactDraft>;
  readonly store: Store;
}

const STATES = {
  queue: "pending",
  begin: TASK_RUN_TRANSITIONS.begin.to[0],
  retry: TASK_RUN_TRANSITIONS.retry.to[0],
  complete: TASK_RUN_TRANSITIONS.complete.to[0],
  fail: TASK_RUN_TRANSITIONS.fail.to[0],
  cancel: TASK_RUN_TRANSITIONS.cancel.to[0],
  reuse: TASK_RUN_TRANSITIONS.reuse.to[0],
} as const satisfies Record<TaskDraft["move"], TestedTask["state"]>;

function tasksOf(records: readonly RecordDraft[]): TestedTask[] {
  const tasks = new Map<string, TestedTask>();
  for (const record of records) {
    if (record.type !== "task") continue;
    const { path, name, tries, move, result = null } = record;
    tasks.set(path, { path, name, tries, state: STATES[move], result });
  }
  return [...tasks.values()];
}

function isLog(record: RecordDraft): record is LogDraft {
  return record.type === "log";
}

function isArtifact(record: RecordDraft): record is ArtifactDraft {
  return record.type === "artifact";
}

function sinkInto(records: RecordDraft[]): RecordSink {
  const keep = async (record: RecordDraft) => void records.push(record);
  return { post: keep, postHeld: keep, postStored: keep, postLog: (record) => void records.push(record) };
}

function cancellation(signal: AbortSignal | undefined): AbortSignal {
  const controller = new AbortController();
  const onAbort = () => controller.abort(new Cancelled("the test asked for it"));
  if (signal?.aborted) onAbort();
  else signal?.addEventListener("abort", onAbort, { once: true });
  return controller.signal;
}

/** What the records of an attempt leave to the next one, as a control plane would answer it. */
function checkpointsOf(records: readonly RecordDraft[]): Checkpoint[] {
  return records.flatMap((record): Checkpoint[] => {
    if (record.type !== "kept" && record.type !== "task") return [];
    const { at, path, result = null, type: kind } = record;
    const common = { path, kind, own: true, at, result };
    if (record.type === "kept") return [{ ...common, codeVersion: null, inputHash: null }];
    const { move, codeVersion = null, inputHash = null } = record;
    return move === "complete" || move === "reuse" ? [{ ...common, codeVersion, inputHash }] : [];
  });
}

function testResume(origin: string, { resumes }: TestOptions): Resume {
  const earlier = resumes && (async () => ({ items: checkpointsOf(resumes.records), next: null }));
  return { origin, codeVersions: {}, code: null, earlier: earlier ?? null, keeps: true };
}

function wireDue({ schedule, interval }: Due): RunFacts["due"] {
  return { schedule, at: interval.end.toISOString(), intervalStart: interval.start.toISOString() };
}

function testFacts(flow: string, { attempt, resumes, due }: TestOptions): RunFacts {
  const ordinal = attempt ?? (resumes?.attempt ?? 0) + 1;
  const facts = { ...localFacts(flow), attempt: ordinal, due: due === undefined ? null : wireDue(due) };
  return resumes === undefined ? facts : { ...facts, runId: resumes.runId };
}

function testHost(flow: string, parameters: unknown, records: RecordSink, options: TestOptions): Host {
  const { secrets = {}, call } = options;
  const facts = testFacts(flow, options);
  return {
    facts,
    parameters,
    records,
    store: options.store ?? options.resumes?.store ?? memoryStore(),
    resume: testResume(facts.runId, options),
    clock: options.clock === "system" ? systemClock : fakeClock(),
    random: Math.random,
    secret: (name) => {
      const value = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
      return value === undefined ? { next: "Give runForTest the option secrets." } : { value };
    },
    resource: (name) => {
      const found = options.resources?.find((one) => one.name === name);
      return found ? { fake: found.value } : { overrides: undefined };
    },
    call: async (asked) => {
      if (call) return await call(asked.call);
      throw new OutsideOfRun("A call to the control plane", "Give runForTest the option call.");
    },
    watchdog: null,
    cancelled: cancellation(options.signal),
  };
}

/** The value that this flow's own function has returned. */
function resultOf<Result>(value: unknown): Awaited<Result> {
  return value as Awaited<Result>;
}

/**
 * Runs a flow in this process with nothing around it, and answers everything it told. Never rejects for what the flow
 * throws: look at `outcome` and `error`.
 * @example
 * const run = await runForTest(penguins, { island: "Dream" });
 * expect(run.outcome).toBe("completed");
 */
export async function runForTest<Schema extends StandardSchema, Result>(
  flow: Flow<Schema, Result>,
  parameters?: InputOf<Schema>,
  options: TestOptions = {},
): Promise<TestedRun<Awaited<Result>>> {
  const records: RecordDraft[] = [];
  const host = testHost(flow.name, parameters ?? {}, sinkInto(records), options);
  const end = await runFlowIn(flow, host);
  const isCompleted = end.outcome === "completed";
  return {
    runId: host.facts.runId,
    attempt: host.facts.attempt,
    outcome: end.outcome,
    result: isCompleted ? resultOf<Result>(end.value) : undefined,
    error: isCompleted ? undefined : end.error,
    records,
    tasks: tasksOf(records),
    logs: records.filter(isLog),
    artifacts: new Map(records.filter(isArtifact).map((record) => [record.key, record])),
    store: host.store,
  };
}
