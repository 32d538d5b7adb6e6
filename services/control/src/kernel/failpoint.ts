import { writeSync } from "node:fs";

/**
 * The places where a fault test may strike, in the order of a run's way. The worker has its own, in its `host`: rooms do not
 * import each other, and what a wire contract holds is published, which this never is.
 */
export const FAILPOINTS = [
  "admit",
  "claim",
  "start",
  "report",
  "acknowledge",
  "end",
  "lose",
  "notify",
] as const;

/** One of those places. */
export type FailpointName = (typeof FAILPOINTS)[number];

/** What happens there: the process is killed, is stopped, or loses the connection that it would have answered. */
export const FAILPOINT_ACTIONS = ["kill", "pause", "drop"] as const;

/** One place, what happens there, and at which passage, from 1. */
export interface Failpoint {
  readonly name: FailpointName;
  readonly action: (typeof FAILPOINT_ACTIONS)[number];
  readonly nth: number;
}

/** The answer is swallowed: whoever asked sees a broken connection, though what it asked for may be committed. */
export class AnswerDropped extends Error {
  override readonly name = "AnswerDropped";
}

const STDERR = 2;

/**
 * Null in production. Module state, which nothing else here has: a place must cost one comparison when it is off, and
 * faults are a matter of the whole process.
 */
let armed: Map<FailpointName, (Failpoint & { passed: number })[]> | null = null;

/** Reads `name:action:nth,…`; null when it is malformed. */
export function parseFailpoints(text: string): Failpoint[] | null {
  const read = text.split(",").map((part): Failpoint | null => {
    const [place, does, count = "1", ...rest] = part.trim().split(":");
    const name = FAILPOINTS.find((one) => one === place);
    const action = FAILPOINT_ACTIONS.find((one) => one === does);
    const nth = Number(count);
    if (!name || !action || !Number.isInteger(nth) || nth < 1 || rest.length > 0) return null;
    return { name, action, nth };
  });
  const whole = read.filter((one) => one !== null);
  return whole.length === read.length ? whole : null;
}

/** Arms places of this process; an empty list disarms all. For fault tests alone. */
export function armFailpoints(points: readonly Failpoint[]): void {
  const counted = points.map((point) => ({ ...point, passed: 0 }));
  armed = points.length === 0 ? null : Map.groupBy(counted, ({ name }) => name);
}

/**
 * A place where a fault test may strike. In a transaction it stands before the commit, in a route behind it.
 * @throws AnswerDropped where that is asked for.
 */
export function failpoint(name: FailpointName): void {
  if (armed !== null) pass(armed.get(name) ?? [], name);
}

function pass(points: readonly (Failpoint & { passed: number })[], name: FailpointName): void {
  for (const point of points) {
    point.passed += 1;
    if (point.passed !== point.nth) continue;
    // Written at once: a moment later this process may be gone.
    writeSync(STDERR, `failpoint ${name}:${point.action}:${point.nth}\n`);
    if (point.action === "kill") process.kill(process.pid, "SIGKILL");
    else if (point.action === "pause") process.kill(process.pid, "SIGSTOP");
    else throw new AnswerDropped(`The answer at ${name} was swallowed by a failpoint.`);
  }
}
