import { declareFailpoints, type Failpoint as FailpointAt } from "@towpath/contract/failpoint";

/** The places where a fault test may strike, in the order of a run's way. */
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

/** One place of a worker, what happens there, and at which passage. */
export type Failpoint = FailpointAt<(typeof FAILPOINTS)[number]>;

/** Module state, which nothing else here has: faults are a matter of the whole process. */
export const { parse: parseFailpoints, arm: armFailpoints, pass: failpoint } = declareFailpoints(FAILPOINTS);
