import { declareFailpoints, type Failpoint as FailpointAt } from "@towpath/contract/failpoint";

/** The failpoints in the order of a run's life. In a transaction they strike before the commit, in a route after it. */
const FAILPOINTS = ["admit", "claim", "start", "report", "acknowledge", "end", "lose", "notify"] as const;

/** A failpoint, its action, and at which pass it acts. */
export type Failpoint = FailpointAt<(typeof FAILPOINTS)[number]>;

/** Module state, unlike everything else here: faults affect the whole process. */
export const { parse: parseFailpoints, arm: armFailpoints, pass: failpoint } = declareFailpoints(FAILPOINTS);
