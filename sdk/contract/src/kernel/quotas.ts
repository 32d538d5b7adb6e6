/** One quota of a workspace, and how to get below it. */
export interface Quota {
  readonly most: number;
  /** The counted things, as the end of a sentence. */
  readonly of: string;
  /** The next step, as a sentence. */
  readonly next: string;
}

/** The quotas of a workspace. Each is checked in the transaction that adds to it. */
export const QUOTAS = {
  pools: { most: 200, of: "work pools", next: "Use an existing pool, or add queues to it." },
  queues: { most: 1000, of: "queues of work pools", next: "Remove a queue: towpath queue rm POOL QUEUE." },
  deployments: {
    most: 5000,
    of: "deployments",
    next: "Remove a deployment: towpath deployments rm NAME.",
  },
  limits: { most: 2000, of: "limits", next: "Remove a limit: towpath limit rm NAME." },
  schedules: {
    most: 10_000,
    of: "schedules",
    next: "Remove a schedule: towpath schedule rm DEPLOYMENT NAME.",
  },
  notifiers: { most: 100, of: "notifiers", next: "Remove a notifier: towpath notify rm NAME." },
  workers: {
    most: 10_000,
    of: "workers with a valid key that were online in the last day",
    next: "Give each worker a persistent state directory. Without one it counts as a new worker at each start.",
  },
  keys: { most: 1000, of: "keys that are not revoked", next: "Revoke a key: towpath key revoke ID." },
} as const satisfies Record<string, Quota>;

/** The name of a quota. */
export type QuotaName = keyof typeof QUOTAS;

/** Every quota, for schemas and tables. */
// The table is an object literal: it has no other keys.
export const QUOTA_NAMES = Object.keys(QUOTAS) as readonly QuotaName[];
