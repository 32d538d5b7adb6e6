import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import type { Json } from "@towpath/contract";
import { LIMITS, secretVariable, secretWarning, uuidv7 } from "@towpath/contract/words";
import { instant, systemClock } from "../clock.ts";
import { ConsoleSink, terminalOf } from "../console/console-sink.ts";
import { durationText, harmless, paintWith } from "../console/style.ts";
import { calledOwn, noteHandle, type OwnGround, type OwnJobs, ownJob, pollOwn } from "../jobs/own-jobs.ts";
import { Cancelled, OutsideOfRun } from "../problem.ts";
import { stagedResources } from "../resources/stage-file.ts";
import { fileStore } from "../store/file-store.ts";
import { secretFromEnv, wantsColour } from "./config.ts";
import type { RunEnd } from "./hooks.ts";
import { Hearing, type Host, type Resume, type RunFacts, type WaitHost } from "./host.ts";
import { OwnAnswers } from "./own-answers.ts";
import { onProcess } from "./process-events.ts";
import { type RunnableFlow, runFlowIn } from "./run-flow.ts";
import { createWatchdog } from "./watchdog.ts";

/** Folder of stored values without a worker, in the working directory. */
const STORE_FOLDER = ".towpath/store";
const RESULT_CHARS_MAX = 2000;
const NIL_ID = "00000000-0000-0000-0000-000000000000";

/** Facts of a run without a control plane. */
export function localFacts(flow: string): RunFacts {
  const nowMs = systemClock.nowMs();
  return {
    runId: uuidv7(nowMs),
    attemptId: uuidv7(nowMs),
    attempt: 1,
    workspaceId: NIL_ID,
    deployment: flow,
    version: 0,
    scheduledAt: instant(systemClock),
    due: null,
    artifactBytes: LIMITS.storedBytes,
  };
}

/** A local run cannot be resumed, so tasks store results only if they say so. */
function localResume(origin: string): Resume {
  return { origin, codeVersions: {}, code: null, earlier: null, keeps: false };
}

/** The host of a flow that runs without a worker. */
export function localHost(
  flow: string,
  args: Pick<Host, "parameters" | "records" | "cancelled"> & {
    readonly facts?: RunFacts;
    /** Who answers questions. @default nobody */
    readonly answers?: OwnAnswers;
  },
): Host {
  const { parameters, records, cancelled, facts = localFacts(flow) } = args;
  const store = fileStore(pathToFileURL(resolve(STORE_FOLDER)).href);
  const jobs: OwnJobs = new Map();
  return {
    facts,
    parameters,
    records,
    store,
    resume: localResume(facts.runId),
    clock: systemClock,
    random: Math.random,
    secret: localSecrets(records),
    resource: stagedResources(),
    call: async (call) => {
      const noted = noteHandle(jobs, call, facts.runId);
      if (noted !== null) return noted;
      throw new OutsideOfRun("A call to the control plane", "Deploy the flow, and run it on a worker.");
    },
    waits: localWaits(jobs, args.answers ?? NO_ANSWERS, { facts, store, clock: systemClock }),
    poolOf: null,
    task: null,
    watchdog: createWatchdog(null),
    cancelled,
  };
}

/** Secrets from the environment. The log warns once for each that cannot be redacted, as a worker does at its start. */
function localSecrets(records: Host["records"]): Host["secret"] {
  const looked = new Set<string>();
  return (name) => {
    const value = secretFromEnv(name);
    if (value === null) return { next: `Set the variable ${secretVariable(name)}.` };
    const warning = looked.has(name) ? null : secretWarning(name, value);
    looked.add(name);
    if (warning !== null)
      records.postLog({ type: "log", at: instant(systemClock), level: "warn", text: warning });
    return { value };
  };
}

const NO_ANSWERS = new OwnAnswers(new Map(), false);

/** An open wait that only somebody else can end. */
const OPEN = {
  waitId: NIL_ID,
  state: "open",
  inMs: null,
  answer: null,
  answeredBy: null,
  run: null,
} as const;

/**
 * Without a control plane, a flow waits in this process for time, for jobs that can be polled, and for answers of the
 * person at the terminal. With a wait that nobody here can answer, the run is suspended once nothing else is working.
 */
function localWaits(jobs: OwnJobs, answers: OwnAnswers, ground: OwnGround): WaitHost {
  const endsAtMs = new Map<string, number>();
  const open = new Set<string>();
  return {
    heard: new Hearing(),
    get suspends() {
      return open.size > 0;
    },
    async ask({ path, call: { wait } }, signal) {
      if (wait.kind === "job") {
        const one = await ownJob(jobs, ground, path);
        await pollOwn(one, ground, wait.job);
        return calledOwn(one, wait, wait.pollEveryMs);
      }
      if (wait.kind === "input" || wait.kind === "event") {
        const found = await answers.find(wait, { path, signal });
        if (found !== null)
          return { ...OPEN, state: "satisfied", answer: jsonOf(found.value), answeredBy: "you" };
        open.add(path);
        return OPEN;
      }
      if (wait.kind === "run")
        throw new OutsideOfRun("suspend.run", "Deploy the flow, and run it on a worker.");
      const nowMs = systemClock.nowMs();
      const endMs = endsAtMs.get(path) ?? (wait.kind === "for" ? nowMs + wait.ms : Date.parse(wait.at));
      endsAtMs.set(path, endMs);
      if (endMs <= nowMs) return { ...OPEN, state: "satisfied" };
      return { ...OPEN, inMs: endMs - nowMs };
    },
  };
}

/** An answer as JSON, as the control plane would pass it on. */
function jsonOf(value: unknown): Json {
  return JSON.parse(JSON.stringify(value));
}

/** Ctrl-C asks the run to stop. A second Ctrl-C ends the process at once, as Node does by default. */
function cancelOnInterrupt(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const release = onProcess("SIGINT", () => {
    release();
    controller.abort(new Cancelled("interrupted"));
  });
  return { signal: controller.signal, release };
}

/** What a suspended run waits for, and how to answer. Paths are `wait:input:Publish?`. */
function printSuspended(
  sink: ConsoleSink,
  flow: string,
  { waits, answers }: { readonly waits: readonly string[]; readonly answers: OwnAnswers },
): void {
  const paint = paintWith(wantsColour(process.stdout));
  sink.say(`${paint("warn", "◌")} ${paint("strong", flow)} waits for an answer that nobody can give here:`);
  for (const path of waits) {
    const [, , name = path] = /^wait:(input|event):(.*)$/s.exec(path) ?? [];
    sink.say(`  ${harmless(name)}`);
    const refusal = answers.refusalOf(name);
    if (refusal !== null) sink.say(`  ${harmless(refusal)}`);
  }
  sink.say(`  Run it in a terminal, or give the answer at its start: --answer "QUESTION=ANSWER".`);
}

function printEnd(sink: ConsoleSink, flow: string, end: RunEnd, ms: number): void {
  const paint = paintWith(wantsColour(process.stdout));
  const took = `${end.outcome} in ${durationText(ms)}`;
  const mark = end.outcome === "completed" ? paint("good", "✓") : paint("bad", "✗");
  sink.say(`${mark} ${paint("strong", flow)} ${took}`);
  if (end.outcome !== "completed" || end.result === null) return;
  const text = harmless(inspect(end.value, { depth: 4, breakLength: 100 }));
  const shown = text.length <= RESULT_CHARS_MAX ? text : `${text.slice(0, RESULT_CHARS_MAX)}…`;
  sink.say(`  ${shown.replaceAll("\n", "\n  ")}\n  ${paint("quiet", `kept at ${end.result.uri}`)}`);
}

/**
 * Runs a flow in this process and prints its progress and outcome on the terminal. On a terminal, it asks the questions
 * for which no answer is given.
 */
export async function runHere(
  flow: RunnableFlow,
  parameters: unknown,
  given: ReadonlyMap<string, string> = new Map(),
): Promise<RunEnd> {
  const colour = wantsColour(process.stdout);
  const sink = new ConsoleSink(terminalOf(process.stdout, colour));
  const { signal, release } = cancelOnInterrupt();
  const answers = new OwnAnswers(given, process.stdin.isTTY === true && process.stdout.isTTY === true);
  const beganMs = systemClock.monotonicMs();
  sink.say(`${paintWith(colour)("quiet", "▸")} ${paintWith(colour)("strong", flow.name)}`);
  try {
    const end = await runFlowIn(
      flow,
      localHost(flow.name, { parameters, records: sink, cancelled: signal, answers }),
    );
    if (end.outcome === "suspended") printSuspended(sink, flow.name, { waits: end.waits, answers });
    else printEnd(sink, flow.name, end, systemClock.monotonicMs() - beganMs);
    return end;
  } finally {
    release();
  }
}
