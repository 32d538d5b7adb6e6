import type { OnRegistered } from "../../deployments/index.ts";
import type { Deps } from "../../kernel/index.ts";
import * as limits from "../../limits/index.ts";
import { adoptRuns } from "../admit/adopt.ts";
import { readRunFacts } from "../why/facts.ts";

type Args<Verb extends (deps: Deps, args: never) => unknown> = Omit<Parameters<Verb>[1], "facts" | "adopt">;

/** Makes or sets a limit, which counts the runs that hold slots of it already. @throws as `setLimit` of the limits. */
export const setLimit = (deps: Deps, args: Args<typeof limits.setLimit>) =>
  limits.setLimit(deps, { ...args, facts: readRunFacts, adopt: adoptRuns });

/** Limits by kind and name, each with the runs that hold slots of it and those that wait. */
export const listLimits = (deps: Deps, args: Args<typeof limits.listLimits>) =>
  limits.listLimits(deps, { ...args, facts: readRunFacts });

/** One limit with its runs. @throws Problem `limit-not-found`. */
export const getLimit = (deps: Deps, args: Args<typeof limits.getLimit>) =>
  limits.getLimit(deps, { ...args, facts: readRunFacts });

/** Sets the limits of a deployment as its new version says. @throws Problem `limit-not-found`. */
export const seedLimits: OnRegistered = limits.seedLimits(adoptRuns);
