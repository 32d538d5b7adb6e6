import { declareFailpoints, type Failpoint as FailpointAt } from "@towpath/contract/failpoint";

/** The places where a fault test may strike, in the order of a run's way; in a transaction before its commit, in a route behind it. */
const FAILPOINTS = ["admit", "claim", "start", "report", "acknowledge", "end", "lose", "notify"] as const;

/** One place of the control plane, what happens there, and at which passage. */
export type Failpoint = FailpointAt<(typeof FAILPOINTS)[number]>;

/** Module state, which nothing else here has: faults are a matter of the whole process. */
export const { parse: parseFailpoints, arm: armFailpoints, pass: failpoint } = declareFailpoints(FAILPOINTS);
