/** One quota: how many a workspace may have, and what makes room. */
export interface Quota {
  readonly most: number;
  /** What is counted, as the end of a sentence. */
  readonly of: string;
  /** What a person does about it, as a sentence. */
  readonly next: string;
}

/** How much a workspace may store. The count is checked in the transaction that adds to it. */
export const QUOTAS = {
  pools: { most: 200, of: "work pools", next: "Use an existing pool, or give it queues." },
  queues: { most: 1000, of: "queues of work pools", next: "Delete a queue: towpath queue rm POOL QUEUE." },
  deployments: {
    most: 5000,
    of: "deployments",
    next: "Deploy new versions of an existing deployment instead of deployments of new names.",
  },
  limits: { most: 2000, of: "limits", next: "Delete a limit: towpath limit rm NAME." },
  schedules: {
    most: 10_000,
    of: "schedules",
    next: "Delete a schedule: towpath schedule rm DEPLOYMENT NAME.",
  },
  notifiers: { most: 100, of: "notifiers", next: "Delete a notifier: towpath notify rm NAME." },
  workers: {
    most: 10_000,
    of: "workers that were seen in the last day, by a key that is not revoked",
    next: "Give each worker a state directory that outlives it: without one, it counts as a new worker at each start.",
  },
  keys: { most: 1000, of: "keys that are not revoked", next: "Revoke a key: towpath key revoke ID." },
} as const satisfies Record<string, Quota>;

/** The name of a quota. */
export type QuotaName = keyof typeof QUOTAS;

/** Every quota, for schemas and tables. */
// The table is an object literal: it has no other keys.
export const QUOTA_NAMES = Object.keys(QUOTAS) as readonly QuotaName[];
