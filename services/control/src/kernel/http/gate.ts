import type { Route } from "@towpath/contract";
import type { Context } from "hono";
import type { Config } from "../config.ts";
import { readOrigins } from "./address.ts";
import { type Admitted, hasCredentials } from "./caller.ts";
import { watchFailedKeys } from "./failed-keys.ts";
import type { Headers } from "./headers.ts";
import { createRateLimiter, type Subjects } from "./rate-limiter.ts";

/** Lets requests in, and bounds how many one caller may send. */
export interface Gate {
  /**
   * Finds out who is calling, and counts the request.
   * @throws Problem `too-many-requests`; what `ask` throws.
   */
  letIn(a: { c: Context; route: Route; ask: () => Promise<Admitted> }): Promise<Admitted>;
  /**
   * Counts a request for a page, by its address: a page needs no key.
   * @throws Problem `too-many-requests`.
   */
  letInToPage(c: Context): void;
}

/** Opens the gate of one process: what it counts, it counts alone. */
export function openGate(config: Pick<Config, "rates" | "trustedProxies">): Gate {
  const origins = readOrigins(config);
  const limiter = createRateLimiter({ overrides: config.rates });
  const failedKeys = watchFailedKeys();
  const subjectsOf = (c: Context, { scope }: Admitted): Subjects => {
    if (scope === null) return { address: origins.addressOf(c) };
    if ("workerId" in scope) return { worker: scope.workerId };
    return { key: scope.actor.id, workspace: scope.workspaceId };
  };
  const addHeaders = (c: Context, headers: Headers) => c.set("headers", { ...c.get("headers"), ...headers });
  return {
    letInToPage(c) {
      const { headers, refusal } = limiter.take("public", { address: origins.addressOf(c) });
      addHeaders(c, headers);
      if (refusal !== null) throw refusal;
    },
    async letIn({ c, route, ask }) {
      const address = () => origins.addressOf(c);
      const admitted = hasCredentials(c) ? await failedKeys.watch({ address, check: ask }) : await ask();
      const { headers, refusal } = limiter.take(route.rate, subjectsOf(c, admitted));
      // A worker has no use for what it has left, and its calls are many.
      if (route.permission !== "worker") addHeaders(c, headers);
      if (refusal !== null) throw refusal;
      return admitted;
    },
  };
}
