import { type Checkpoint, type Json, Ref } from "@towpath/contract";
import { z } from "zod";
import type { Clock } from "../../sdk/flow/src/clock.ts";
import type { Host } from "../../sdk/flow/src/engine/host.ts";
import type { RecordDraft } from "../../sdk/flow/src/engine/records.ts";
import { type RunnableFlow, runFlowIn } from "../../sdk/flow/src/engine/run-flow.ts";
import { localFacts } from "../../sdk/flow/src/engine/run-here.ts";
import * as sdk from "../../sdk/flow/src/index.ts";
import { memoryStore } from "../../sdk/flow/src/store/memory-store.ts";
import type { Store } from "../../sdk/flow/src/store/store.ts";
import type { TaskOptions } from "../../sdk/flow/src/task/options.ts";
import { type AskedTime, waitsFor } from "../../sdk/flow/src/testing/answers.ts";
import { Life, mortal, sinkInto, storeFor } from "../../sdk/flow/src/testing/life.ts";
import { checkpointsOf } from "../../sdk/flow/src/testing/told.ts";
import type { Options, Play, RecordedAttempt, Script, Step } from "./script.ts";

const ATTEMPTS_MAX = 40;
const ORIGIN = "01900000-0000-7000-8000-000000000001";
const NOW_MS = Date.parse("2026-03-01T12:00:00.000Z");

/** Dies after a number of records. */
class RecordLife extends Life {
  #left: number;

  constructor(records: number) {
    super(undefined);
    this.#left = records;
  }

  override noteHeld(): void {
    this.#left -= 1;
    if (this.#left === 0) this.end();
  }
}

class ScriptError extends Error {
  override readonly name = "ScriptError";
}

type Variables = Map<string, unknown>;

function filled(told: unknown, variables: Variables): unknown {
  if (Array.isArray(told)) return told.map((one) => filled(one, variables));
  if (typeof told !== "object" || told === null) return told;
  const entries = Object.entries(told);
  const [[key, name] = []] = entries;
  if (entries.length === 1 && key === "$") return variables.get(String(name)) ?? null;
  return Object.fromEntries(entries.map(([key, one]) => [key, filled(one, variables)]));
}

/** Options without those that are missing. */
function given(options: z.infer<typeof Options>): Partial<TaskOptions> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** What an error says. Messages of the engine are sentences, and differ between languages. */
function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.endsWith(".") ? "an error of the engine" : text;
}

/** Plays the steps of one script in one attempt. */
class Player {
  readonly #script: Script;
  readonly #tries = new Map<string, number>();

  constructor(script: Script) {
    this.#script = script;
  }

  /** Plays steps. @returns the value of a `return` among them */
  async play(steps: readonly Step[], variables: Variables): Promise<unknown> {
    for (const step of steps) {
      if (step.do === "return") return filled(step.value, variables);
      const value = await this.#step(step, variables);
      if ("as" in step && step.as !== undefined) variables.set(step.as, value ?? null);
    }
    return null;
  }

  async #step(step: Exclude<Step, { do: "return" }>, variables: Variables): Promise<unknown> {
    switch (step.do) {
      case "call":
        return await this.#task(step.task).with(given(step.options))(
          ...step.args.map((one) => filled(one, variables)),
        );
      case "map":
        return await this.#map(step, variables);
      case "parallel":
        return await this.#parallel(step.branches, variables);
      case "catch":
        return await this.play(step.steps, variables).then(() => null, textOf);
      case "loop":
        for (let i = 0; i < step.times; i++) await this.play(step.steps, variables.set("i", i));
        return null;
      case "flow":
        return await this.#subflow(step, variables);
      case "keep":
        return await sdk.ctx.keep(step.name, filled(step.value, variables));
      case "kept":
        return (await sdk.ctx.kept(step.name)) ?? filled(step.default, variables);
      case "save":
        return await sdk.ctx.save(step.name, filled(step.value, variables));
      case "load":
        return await sdk.ctx.load(Ref.parse(filled(step.ref, variables)));
      case "raise":
        return this.#raise(step);
      case "artifact":
        return await sdk.artifact.markdown({ key: step.key, text: step.text });
      default:
        return await placed(step, variables);
    }
  }

  #task(name: string) {
    const found = this.#script.tasks[name];
    const body = async (...args: unknown[]) => {
      const path = sdk.ctx.taskPath ?? "";
      this.#tries.set(path, (this.#tries.get(path) ?? 0) + 1);
      return await this.play(found?.steps ?? [], new Map(args.map((one, index) => [String(index), one])));
    };
    return sdk.task({ name, retryDelayMs: 0, version: "1", ...given(found?.options ?? {}) }, body);
  }

  async #map(step: Extract<Step, { do: "map" }>, variables: Variables): Promise<unknown> {
    const items = z.array(z.unknown()).parse(filled(step.items, variables));
    const run = this.#task(step.task).map(items, {
      concurrency: step.concurrency,
      args: step.more.map((one) => filled(one, variables)),
      ...(step.keyed && { key: String }),
    });
    if (!step.settled) return await run;
    const all = await run.allSettled();
    return all.map((one) => (one.status === "fulfilled" ? one.value : textOf(one.reason)));
  }

  async #parallel(branches: readonly Step[][], variables: Variables): Promise<null> {
    const own = branches.map(() => new Map(variables));
    const ends = await Promise.allSettled(
      branches.map((steps, index) => this.play(steps, own[index] ?? new Map())),
    );
    for (const one of own) for (const [name, value] of one) variables.set(name, value);
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    return null;
  }

  async #subflow(step: Extract<Step, { do: "flow" }>, variables: Variables): Promise<unknown> {
    const input = z.record(z.string(), z.unknown());
    const inner = sdk.flow(
      { name: step.name, input },
      async (given) => await this.play(step.steps, new Map(Object.entries(given))),
    );
    return await inner.run(input.parse(filled(step.parameters, variables)));
  }

  #raise({ message, tries, final }: Extract<Step, { do: "raise" }>): null {
    const path = sdk.ctx.taskPath ?? "";
    if ((this.#tries.get(path) ?? 1) > tries) return null;
    throw final ? new sdk.NonRetryable(message) : new ScriptError(message);
  }
}

type Placed = Extract<
  Step,
  { do: "now" | "random" | "uuid" | "sleep" | "input" | "event" | "start" | "child" }
>;

/** The calls that have a place of their own in the flow. */
async function placed(step: Placed, variables: Variables): Promise<unknown> {
  const keyed = "key" in step && step.key !== undefined ? { key: step.key } : {};
  switch (step.do) {
    case "now":
      return sdk.now(keyed).getTime();
    case "random":
      return sdk.random(keyed);
    case "uuid":
      return sdk.uuid(keyed);
    case "sleep":
      return await sdk.suspend.for(step.ms, keyed);
    case "input": {
      const { title, id } = step;
      return await sdk.suspend.input({ title, schema: z.unknown(), ...(id !== undefined && { id }) });
    }
    case "event":
      return await sdk.suspend.event(step.name, keyed);
    default: {
      const parameters = z.record(z.string(), z.unknown()).parse(filled(step.parameters, variables));
      if (step.do === "child") return await sdk.ctx.runDeployment(step.deployment, parameters, keyed);
      const run = await sdk.ctx.runDeployment(step.deployment, parameters, { ...keyed, wait: false });
      return run.runId;
    }
  }
}

/** What the attempts of one run share. */
interface Ground {
  readonly store: Store;
  readonly asked: Map<string, AskedTime>;
  readonly clock: Clock;
  readonly held: Checkpoint[];
  readonly answers: Record<string, Json>;
}

function scriptClock(): Clock {
  let nowMs = NOW_MS;
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    async pause(ms) {
      nowMs += ms;
    },
  };
}

function hostOf(ground: Ground, args: { attempt: number; records: RecordDraft[]; life: Life }): Host {
  const { attempt, life } = args;
  const facts = { ...localFacts("script"), runId: ORIGIN, attempt };
  const { clock, answers, asked } = ground;
  const store = storeFor(ground.store, life);
  const host: Host = {
    facts,
    parameters: {},
    records: sinkInto(args.records, life),
    store,
    resume: {
      origin: ORIGIN,
      codeVersions: {},
      code: null,
      earlier: async () => ({ items: [...ground.held], next: null }),
      keeps: true,
      knowsEarlier: true,
    },
    clock,
    random: () => 0.5,
    secret: () => ({ next: "" }),
    resource: () => ({ overrides: undefined }),
    call: async ({ call }) => {
      if (call.kind === "start-run") return runOf(call.deployment);
      const granted = call.kind === "take-slots" ? call.requests.map(({ key }) => key) : [];
      return { ...runOf(""), granted };
    },
    waits: waitsFor(asked, { answers, facts, clock, life, jobs: new Map(), store }),
    poolOf: null,
    task: null,
    watchdog: null,
    cancelled: new AbortController().signal,
  };
  return mortal(host, life);
}

/** A run that the control plane has started. Its id says what it is. */
function runOf(deployment: string) {
  return { runId: deployment, state: "running", cause: null, result: null } as const;
}

/** Fields of records that depend on the clock, the store, or the language. */
const OWN_FIELDS = new Set([
  "at",
  "calledAt",
  "hashMs",
  "saveMs",
  "loadMs",
  "dataMs",
  "savedBytes",
  "loadedBytes",
]);

interface ReportedError {
  readonly name?: string | undefined;
  readonly message: string;
}

interface Reported {
  readonly [field: string]: unknown;
  readonly result?: Ref | null | undefined;
  readonly error?: ReportedError | undefined;
}

function told(record: RecordDraft): Record<string, unknown> {
  const { result, error, ...rest }: Reported = { ...record };
  const kept = Object.entries(rest).filter(
    ([field, value]) => value !== undefined && value !== null && !OWN_FIELDS.has(field),
  );
  return {
    ...Object.fromEntries(kept),
    ...(result && {
      result: { codec: result.codec, sizeBytes: result.sizeBytes, sha256: result.sha256 },
    }),
    ...(error !== undefined && { error: toldError(error) }),
  };
}

/** Without the stack. The engine's own messages name functions of its language. */
function toldError({ name = "Error", message }: ReportedError) {
  return name === "ScriptError" || name === "NonRetryable" ? { name, message } : { name };
}

async function attemptOf(play: Play, ground: Ground, attempt: number) {
  const records: RecordDraft[] = [];
  const life = new RecordLife(play.deaths[attempt - 1] ?? 0);
  const player = new Player(play.script);
  const flow = sdk.flow({ name: "script" }, async () => await player.play(play.script.flow, new Map()));
  const runnable: RunnableFlow = { ...flow, dueInput: null };
  const over = new Promise<"killed">((resolve) =>
    life.over.addEventListener("abort", () => resolve("killed"), { once: true }),
  );
  const end = await Promise.race([runFlowIn(runnable, hostOf(ground, { attempt, records, life })), over]);
  const outcome = end === "killed" ? end : end.outcome;
  return { outcome, records };
}

/** Plays a script until it ends. */
export async function played(play: Play): Promise<RecordedAttempt[]> {
  const { answers, resumes } = play.script;
  const ground: Ground = {
    store: memoryStore(),
    asked: new Map(),
    clock: scriptClock(),
    held: [],
    answers: {},
  };
  const all: RecordedAttempt[] = [];
  let [failures, suspensions, waits] = [0, 0, ""];
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const { outcome, records } = await attemptOf(play, ground, attempt);
    all.push({ outcome, records: records.filter(({ type }) => type !== "log").map(told) });
    ground.held.push(...checkpointsOf(records));
    if (outcome === "completed" || (outcome === "failed" && ++failures > resumes)) return all;
    if (outcome !== "suspended") continue;
    const more = answers[suspensions++];
    const open = JSON.stringify(records.at(-1));
    // Nobody answers these waits.
    if (more === undefined && open === waits) return all;
    waits = open;
    Object.assign(ground.answers, more);
  }
  return all;
}
