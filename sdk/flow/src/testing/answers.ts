import type { AskedWait, CalledRun, CalledWait, Json } from "@towpath/contract";
import { type Clock, systemClock } from "../clock.ts";
import { Hearing } from "../engine/hearing.ts";
import type { WaitHost } from "../engine/host.ts";
import type { Life } from "./life.ts";

/** In the place of an answer: the deadline passes. */
export const EXPIRED: unique symbol = Symbol("expired");

/** What comes, by what is waited for. */
export type Answers = { readonly [name: string]: Json | Partial<CalledRun> | typeof EXPIRED };

/** What tells what is waited for apart in a test. */
function nameOf(wait: AskedWait): string {
  switch (wait.kind) {
    case "input":
      return wait.title;
    case "event":
      return wait.key === undefined ? wait.name : `${wait.name} ${wait.key}`;
    case "run":
      return wait.runId;
    default:
      return wait.kind;
  }
}

const OPEN = { waitId: "", state: "open", inMs: null, answer: null, answeredBy: null, run: null } as const;

function answered(wait: AskedWait, answers: Answers): CalledWait {
  const name = nameOf(wait);
  if (!Object.hasOwn(answers, name)) return OPEN;
  const found = answers[name] ?? null;
  if (found === EXPIRED) return { ...OPEN, state: "expired" };
  if (wait.kind !== "run")
    return { ...OPEN, state: "satisfied", answer: found as Json, answeredBy: "the test" };
  const end = { runId: wait.runId, state: "completed", cause: null, result: null };
  return { ...OPEN, state: "satisfied", run: { ...end, ...(found as Partial<CalledRun>) } };
}

/** When a time is over that a run waits for, and which of its attempts first asked. */
export interface AskedTime {
  readonly endMs: number;
  readonly attempt: number;
}

/** What a flow waits for in a test. Where the clock is not real, all the time that an earlier attempt waited for has passed. */
export function waitsFor(
  asked: Map<string, AskedTime>,
  a: { answers: Answers; attempt: number; clock: Clock; life: Life },
): WaitHost {
  const timed = (path: string, wait: Extract<AskedWait, { kind: "for" | "until" }>): CalledWait => {
    const nowMs = a.clock.nowMs();
    const first = { endMs: wait.kind === "for" ? nowMs + wait.ms : Date.parse(wait.at), attempt: a.attempt };
    const known = asked.get(path) ?? first;
    asked.set(path, known);
    const isOver = known.endMs <= nowMs || (a.clock !== systemClock && known.attempt < a.attempt);
    return isOver ? { ...OPEN, state: "satisfied" } : { ...OPEN, inMs: known.endMs - nowMs };
  };
  return {
    heard: new Hearing(),
    suspends: true,
    ask: ({ path, call: { wait } }) =>
      a.life.use(async () =>
        wait.kind === "for" || wait.kind === "until" ? timed(path, wait) : answered(wait, a.answers),
      ),
  };
}
