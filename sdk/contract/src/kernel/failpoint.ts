/**
 * Places where fault tests strike a process. They need Node's own modules, so that this is a door of its own
 * (`@towpath/contract/failpoint`): everything else here runs in a browser as well. Each process has its own list of places.
 */
import { writeSync } from "node:fs";

/** What happens at a place: the process is killed, is stopped, or goes on as if an answer had been lost. */
export const FAILPOINT_ACTIONS = ["kill", "pause", "drop"] as const;

/** One place, what happens there, and at which passage, from 1. */
export interface Failpoint<Name extends string> {
  readonly name: Name;
  readonly action: (typeof FAILPOINT_ACTIONS)[number];
  readonly nth: number;
}

/** An answer was lost on its way: what was asked for may have happened all the same. */
export class AnswerDropped extends Error {
  override readonly name = "AnswerDropped";
}

/** The places of one process. Each function stands for itself, without `this`. */
export interface Failpoints<Name extends string> {
  /** Reads `name:action:nth,…`, where `:nth` may be missing and means the first; null when it is malformed. */
  readonly parse: (text: string) => Failpoint<Name>[] | null;
  /** Arms places of this process; an empty list disarms all. For fault tests alone. */
  readonly arm: (points: readonly Failpoint<Name>[]) => void;
  /**
   * A place where a fault test may strike. Costs one comparison while none is armed.
   * @throws AnswerDropped where that is asked for.
   */
  readonly pass: (name: Name) => void;
}

type Counted<Name extends string> = Failpoint<Name> & { passed: number };

const STDERR = 2;

/** Declares the places of a process, none of them armed. To be called once, where the process lists them. */
export function declareFailpoints<Name extends string>(names: readonly Name[]): Failpoints<Name> {
  let armed: Map<Name, Counted<Name>[]> | null = null;
  return {
    parse: (text) => parse(names, text),
    arm: (points) => {
      const counted = points.map((point) => ({ ...point, passed: 0 }));
      armed = points.length === 0 ? null : Map.groupBy(counted, ({ name }) => name);
    },
    pass: (name) => {
      if (armed !== null) strike(armed.get(name) ?? []);
    },
  };
}

function parse<Name extends string>(names: readonly Name[], text: string): Failpoint<Name>[] | null {
  const read = text.split(",").map((part): Failpoint<Name> | null => {
    const [place, does, count = "1", ...rest] = part.trim().split(":");
    const name = names.find((one) => one === place);
    const action = FAILPOINT_ACTIONS.find((one) => one === does);
    const nth = Number(count);
    if (!name || !action || !Number.isInteger(nth) || nth < 1 || rest.length > 0) return null;
    return { name, action, nth };
  });
  const whole = read.filter((one) => one !== null);
  return whole.length === read.length ? whole : null;
}

function strike(points: readonly Counted<string>[]): void {
  for (const point of points) {
    point.passed += 1;
    if (point.passed !== point.nth) continue;
    // Written at once: a moment later this process may be gone.
    writeSync(STDERR, `failpoint ${point.name}:${point.action}:${point.nth}\n`);
    if (point.action === "kill") process.kill(process.pid, "SIGKILL");
    else if (point.action === "pause") process.kill(process.pid, "SIGSTOP");
    else throw new AnswerDropped(`The answer at ${point.name} was swallowed by a failpoint.`);
  }
}
