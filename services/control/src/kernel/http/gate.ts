import { type Permission, Problem, type RateClass, type Route } from "@towpath/contract";
import type { Context } from "hono";
import type { Config } from "../config.ts";
import { readOrigins } from "./address.ts";
import {
  type Admitted,
  ANONYMOUS,
  atOnce,
  type Caller,
  grant,
  hasCredentials,
  type Identify,
} from "./caller.ts";
import { watchFailedKeys } from "./failed-keys.ts";
import { costOf } from "./large-bodies.ts";
import { createRateLimiter, type Subjects } from "./rate-limiter.ts";

/** Admits requests, and limits their rate. */
export interface Gate {
  /**
   * Identifies and admits the caller, and counts the request. A refused request counts only for its key.
   * @throws Problem `too-many-requests`, `unauthenticated`, `session-expired` or `forbidden`.
   */
  admit(args: { c: Context; route: Route }): Promise<Admitted>;
  /**
   * Counts a request for a page by its address: a page needs no key.
   * @throws Problem `too-many-requests`.
   */
  admitToPage(c: Context): void;
}

function subjectsOf(caller: Caller): Subjects {
  const { workspaceId: workspace } = caller.scope;
  return caller.kind === "worker"
    ? { worker: caller.scope.workerId, key: caller.keyId, workspace }
    : { key: caller.scope.actor.id, workspace };
}

/** The subjects of a refused request: only the key, so that it cannot use up its workspace's limit. */
function ownSubjectsOf(caller: Caller): Subjects {
  return { key: caller.kind === "worker" ? caller.keyId : caller.scope.actor.id };
}

function grantOrRefusal(caller: Caller, permission: Permission): Admitted | Problem {
  try {
    return grant(caller, permission);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

/** Opens the gate of one process. It counts only requests to this process. */
export function openGate(args: {
  config: Pick<Config, "rates" | "trustedProxies">;
  identify: Identify;
}): Gate {
  const origins = readOrigins(args.config);
  const limiter = createRateLimiter({ overrides: args.config.rates });
  const failedKeys = watchFailedKeys();
  const count = (c: Context, args: { rate: RateClass; subjects: Subjects; cost: number }) => {
    const { rate, subjects, cost } = args;
    const taken = limiter.take(rate, subjects, cost);
    // Workers do not use these headers, and their calls are many.
    if (rate !== "worker" || taken.refusal !== null)
      c.set("headers", { ...c.get("headers"), ...taken.headers() });
    if (taken.refusal !== null) throw taken.refusal;
  };
  const countAddress = (c: Context, rate: RateClass) =>
    count(c, { rate, subjects: { address: origins.addressOf(c) }, cost: 1 });
  const whoCalls = (c: Context): Promise<Caller> =>
    hasCredentials(c)
      ? failedKeys.watch({ address: () => origins.addressOf(c), check: (turn) => args.identify(c, turn) })
      : args.identify(c, atOnce);
  return {
    admitToPage: (c) => countAddress(c, "public"),
    async admit({ c, route }) {
      const { permission, rate } = route;
      if (permission === "public") {
        countAddress(c, rate);
        return ANONYMOUS;
      }
      const caller = await whoCalls(c);
      const admitted = grantOrRefusal(caller, permission);
      if (admitted instanceof Problem) {
        count(c, { rate, subjects: ownSubjectsOf(caller), cost: 1 });
        throw admitted;
      }
      count(c, { rate, subjects: subjectsOf(caller), cost: costOf(c, route) });
      return admitted;
    },
  };
}
