import { CAUSE_NAMES, RUN_STATES, type RunState } from "@towpath/contract";
import { SHOWN, type ShownCalls } from "../compare/compare-shown.ts";

/** What the list of runs is narrowed by, as it stands in the address. Several states have commas between them. */
export interface RunSearch {
  readonly state?: string;
  readonly deployment?: string;
  readonly pool?: string;
  readonly tag?: string;
  readonly cause?: string;
  /** Created in the last so long: `1h`, `24h`, `7d`, `30d`. */
  readonly since?: string;
  /** Created between these instants, which somebody marked in the chart. */
  readonly from?: string;
  readonly to?: string;
  readonly text?: string;
  /** What is drawn above the list; it narrows nothing. */
  readonly chart?: "durations";
}

/** Every word of a search that narrows it, in the order of its fields. */
export const SEARCH_WORDS = [
  "state",
  "deployment",
  "pool",
  "tag",
  "cause",
  "since",
  "from",
  "to",
  "text",
] as readonly (keyof RunSearch)[];

/** Reads the address; what it does not know is left out. */
export function readRunSearch(search: Record<string, unknown>): RunSearch {
  const known = SEARCH_WORDS.flatMap((word) => {
    const value = search[word];
    const text = typeof value === "number" ? String(value) : value;
    return typeof text === "string" && text !== "" ? [[word, text]] : [];
  });
  return { ...Object.fromEntries(known), ...(search.chart === "durations" && { chart: "durations" }) };
}

/** A search that is not narrowed by these words. */
export function without(search: RunSearch, ...words: readonly (keyof RunSearch)[]): RunSearch {
  return Object.fromEntries(Object.entries(search).filter(([word]) => !words.some((one) => one === word)));
}

/** The states that a search asks for; those that do not exist are left out. */
export function statesOf(search: RunSearch): RunState[] {
  const words = search.state?.split(",") ?? [];
  return RUN_STATES.filter((state) => words.includes(state));
}

/** The lengths of time that a list can be narrowed to, by their names in the address. */
export const SINCE_MS: Readonly<Record<string, number>> = {
  "1h": 3_600_000,
  "24h": 86_400_000,
  "7d": 7 * 86_400_000,
  "30d": 30 * 86_400_000,
};

/** A minute: what a search of the last hours rounds its beginning to, so that it stays the same search for a while. */
const ROUND_MS = 60_000;

/** What the API is asked for a search, at this time. */
export function runQueryOf(search: RunSearch, now: number) {
  const { since, state: _, cause: named, chart: _drawn, ...rest } = search;
  const cause = CAUSE_NAMES.find((one) => one === named);
  const states = statesOf(search);
  const sinceMs = since === undefined ? undefined : SINCE_MS[since];
  const from =
    sinceMs === undefined
      ? {}
      : { from: new Date(Math.floor((now - sinceMs) / ROUND_MS) * ROUND_MS).toISOString() };
  return {
    ...from,
    ...rest,
    ...(cause === undefined ? {} : { cause }),
    ...(states.length === 0 ? {} : { state: states.join(",") }),
  };
}

/** What of a run's page is shown, as it stands in the address. */
export interface RunPageSearch {
  /** A line of the log, `attempt:line`. Lines count from 1. */
  readonly line?: string | undefined;
  /** Ordinal of the attempt that is shown. Missing: that of the line, else the latest. */
  readonly attempt?: number | undefined;
  /** Its task calls as a graph; else over time. */
  readonly tasks?: "graph" | undefined;
  /** The critical path alone is in full colour. */
  readonly critical?: true | undefined;
  /** The path of the task call that is looked at. */
  readonly task?: string | undefined;
  /** Which question about running it again is open: from its failure, or with edited parameters. */
  readonly rerun?: "failure" | "again" | undefined;
}

/** Reads the address of a run's page. */
export function readRunPageSearch(search: Record<string, unknown>): RunPageSearch {
  const { line, attempt, tasks, critical, task, rerun } = search;
  return {
    ...(typeof line === "string" && /^\d{1,9}:[1-9]\d{0,11}$/.test(line) ? { line } : {}),
    ...(typeof attempt === "number" && Number.isInteger(attempt) && attempt > 0 ? { attempt } : {}),
    ...(tasks === "graph" && { tasks }),
    ...(critical === true && { critical }),
    ...(typeof task === "string" && task !== "" && { task }),
    ...((rerun === "failure" || rerun === "again") && { rerun }),
  };
}

/** A line of the address as the wire names it: there, lines count from 0. */
export function wireLineOf(line: string): string {
  const [attempt, number] = line.split(":");
  return `${attempt}:${Number(number) - 1}`;
}

/** Which calls of a comparison are listed, as it stands in the address. */
export function readCompareSearch(search: Record<string, unknown>): { readonly show?: ShownCalls } {
  const show = SHOWN.find((one) => one === search.show);
  return show === undefined ? {} : { show };
}
