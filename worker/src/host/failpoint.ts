import { declareFailpoints, type Failpoint as FailpointAt } from "@towpath/contract/failpoint";

/** Where a fault test may strike: the phases of an attempt, then other points in the order of a run. */
const FAILPOINTS = [
  "preparing",
  "confirming",
  "launched",
  "closing",
  "closed",
  "abandoned",
  "claim",
  "start",
  "launch",
  "intend",
  "handle",
  "journal",
  "report",
  "acknowledge",
  "end",
  "polled",
] as const;

/** One failpoint, its action, and at which passage it strikes. */
export type Failpoint = FailpointAt<(typeof FAILPOINTS)[number]>;

/** The only module state here: faults belong to the whole process. */
export const { parse: parseFailpoints, arm: armFailpoints, pass: failpoint } = declareFailpoints(FAILPOINTS);
