import { heartbeatPeriodicJob, type PeriodicJob } from "../../services/control/src/kernel/index.ts";
import { LOOPS } from "../../services/control/src/slices.ts";

/** Every periodic job of a control plane. */
export const ALL_PERIODIC_JOBS: readonly PeriodicJob[] = [heartbeatPeriodicJob, ...LOOPS];

/** Jobs that no row can break, and why. */
export const ROWLESS: Readonly<Record<string, string>> = {
  heartbeat: "writes the row of its own process",
  sequencer: "numbers rows without reading what they say",
  "forget-changes": "deletes by position and age alone",
  "forget-sign-ins": "deletes by age alone",
  "forget-workers": "deletes by age alone",
  "forget-events": "deletes by age alone",
  "forget-instants": "deletes by age alone",
  "forget-deliveries": "deletes by age alone",
  "forget-backfills": "deletes by age alone",
  "forget-wait-lists": "deletes by emptiness alone",
  "forget-versions": "deletes by age and by what refers to it",
  "history-partitions": "makes empty tables",
  "history-retention": "drops partitions and deletes by age alone",
  "log-partitions": "makes empty tables",
  "log-retention": "drops partitions and deletes by age alone",
  "retry-rows": "tries rows of other jobs again, each in a transaction of its own, and sets them aside again",
};

/** The job of this name. @throws TypeError if there is none. */
export function periodicJobOf(name: string): PeriodicJob {
  const periodicJob = ALL_PERIODIC_JOBS.find((one) => one.name === name);
  if (periodicJob === undefined) throw new TypeError(`There is no periodicJob ${name}.`);
  return periodicJob;
}
