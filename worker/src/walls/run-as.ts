/** The users of attempts, as numbers. They need no entry in the system's list of users. */
export interface UserRange {
  /** Also the group by which attempts share a store in a folder. It is no attempt's user. */
  readonly first: number;
  readonly last: number;
}

/**
 * The range of a worker that names none. It lies above the ids that Linux systems give to people, services and
 * containers.
 */
export const DEFAULT_UIDS = "2000000000-2000000999";

/** People and services of the system have lower ids. */
const UID_MIN = 10_000;
/** A larger number is negative for programs with signed ids. */
const UID_MAX = 2_147_483_646;
/** More users than processes: a user is given out again a moment after its attempt, when everything of it is removed. */
const RESERVED = 8;

/** What attempts run as. `auto`: users of their own if that is possible. */
export type Wanted = "auto" | "users" | "none";

/** The setting `runAs`, read. */
export interface RunAs {
  readonly wanted: Wanted;
  readonly range: UserRange;
}

/** The setting as it is written. */
export type RunAsSetting = "auto" | "users" | "worker" | false | { readonly uids: string };

/** Reads the setting, which is valid. */
export function runAsOf(setting: RunAsSetting): RunAs {
  const range = rangeOf(typeof setting === "object" ? setting.uids : DEFAULT_UIDS) ?? { first: 0, last: 0 };
  if (typeof setting === "object") return { wanted: "users", range };
  return { wanted: setting === false || setting === "worker" ? "none" : setting, range };
}

/** A range such as `200000-200999`. Null: it is none, or contains ids of people and services. */
export function rangeOf(text: string): UserRange | null {
  const [, from = "", to = ""] = /^(\d{1,10})-(\d{1,10})$/.exec(text) ?? [];
  const [first, last] = [Number(from), Number(to)];
  return from !== "" && first >= UID_MIN && last <= UID_MAX && first < last ? { first, last } : null;
}

/** How many users a worker needs. */
export function usersNeeded(config: { capacity: number; warm: number; loadAhead: number }): number {
  return config.capacity + config.warm + config.loadAhead + RESERVED;
}

/**
 * Namespaces of attempts: with the program `bwrap` of the system if they are possible; required; required, with a program of
 * one's own; or none.
 */
export type NamespacesSetting = "auto" | "required" | false | { readonly bwrap: string };

/** The setting as it counts: a worker that chose no wall by `runAs` gets none that it did not ask for. */
export function namespacesOf(setting: NamespacesSetting | undefined, runAs: RunAs): NamespacesSetting {
  return setting ?? (runAs.wanted === "none" ? false : "auto");
}
