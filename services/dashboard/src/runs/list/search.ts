import { CAUSE_NAMES, RUN_STATES, type RunState } from "@towpath/contract";

/** The filters of the list of runs, as the address has them. Several states are separated by commas. */
export interface RunSearch {
  readonly state?: string;
  readonly deployment?: string;
  readonly stage?: string;
  readonly pool?: string;
  readonly tag?: string;
  readonly cause?: string;
  /** Created in the last period of this length: `1h`, `24h`, `7d`, `30d`. */
  readonly since?: string;
  /** Created in this range, for example one selected in the chart. */
  readonly from?: string;
  readonly to?: string;
  readonly text?: string;
  /** The chart above the list. It filters nothing. */
  readonly chart?: "durations";
}

/** The words of the filters, in the order of their fields. */
export const SEARCH_WORDS = [
  "state",
  "deployment",
  "stage",
  "pool",
  "tag",
  "cause",
  "since",
  "from",
  "to",
  "text",
] as readonly (keyof RunSearch)[];

/** Reads the address. Unknown values are left out. */
export function readRunSearch(search: Record<string, unknown>): RunSearch {
  const known = SEARCH_WORDS.flatMap((word) => {
    const value = search[word];
    const text = typeof value === "number" ? String(value) : value;
    return typeof text === "string" && text !== "" ? [[word, text]] : [];
  });
  return { ...Object.fromEntries(known), ...(search.chart === "durations" && { chart: "durations" }) };
}

/** A search without these filters. */
export function without(search: RunSearch, ...words: readonly (keyof RunSearch)[]): RunSearch {
  return Object.fromEntries(Object.entries(search).filter(([word]) => !words.some((one) => one === word)));
}

/** The states of a search. Unknown states are left out. */
export function statesOf(search: RunSearch): RunState[] {
  const words = search.state?.split(",") ?? [];
  return RUN_STATES.filter((state) => words.includes(state));
}

/** The periods for filtering, by their names in the address. */
export const SINCE_MS: Readonly<Record<string, number>> = {
  "1h": 3_600_000,
  "24h": 86_400_000,
  "7d": 7 * 86_400_000,
  "30d": 30 * 86_400_000,
};

/** The start of a period is rounded to a minute, so that the search stays the same for a while. */
const ROUND_MS = 60_000;

/** The API query for a search at this time. */
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

/** The part of the address that selects what a run's page shows. */
export interface RunPageSearch {
  /** A line of the log, `attempt:line`. Lines count from 1. */
  readonly line?: string | undefined;
  /** Ordinal of the attempt. @default the whole run */
  readonly attempt?: number | undefined;
  /** Shows the task calls as a graph. @default as a waterfall */
  readonly tasks?: "graph" | undefined;
  /** Highlights the critical path. */
  readonly critical?: true | undefined;
  /** The path of the selected task call. */
  readonly task?: string | undefined;
  /** The open dialog: rerun from the failure, or run again with other parameters. */
  readonly rerun?: "failure" | "again" | undefined;
  /** The id of the question that a message links to. */
  readonly question?: string | undefined;
  /** The answer that is chosen in its form, and not yet sent. */
  readonly choice?: "approve" | "reject" | undefined;
}

/** Reads the address of a run's page. */
export function readRunPageSearch(search: Record<string, unknown>): RunPageSearch {
  const { line, attempt, tasks, critical, task, rerun, question, choice } = search;
  return {
    ...(typeof line === "string" && /^\d{1,9}:[1-9]\d{0,11}$/.test(line) ? { line } : {}),
    ...(typeof attempt === "number" && Number.isInteger(attempt) && attempt > 0 ? { attempt } : {}),
    ...(tasks === "graph" && { tasks }),
    ...(critical === true && { critical }),
    ...(typeof task === "string" && task !== "" && { task }),
    ...(typeof question === "string" && question !== "" && { question }),
    ...((choice === "approve" || choice === "reject") && { choice }),
    ...((rerun === "failure" || rerun === "again") && { rerun }),
  };
}

/** Converts a line of the address for the wire, which counts lines from 0. */
export function wireLineOf(line: string): string {
  const [attempt, number] = line.split(":");
  return `${attempt}:${Number(number) - 1}`;
}

/** Reads which calls of a comparison are listed. */
export function readCompareSearch(search: Record<string, unknown>): { readonly show?: ShownCalls } {
  const show = SHOWN.find((one) => one === search.show);
  return show === undefined ? {} : { show };
}

/** The views of the screen: open questions, answered questions, other waits. */
export const WAIT_VIEWS = ["questions", "answered", "others"] as const;
export type WaitView = (typeof WAIT_VIEWS)[number];

/** Reads the address. Unknown values are left out. */
export function readWaitSearch(search: Record<string, unknown>): { readonly view?: WaitView } {
  const view = WAIT_VIEWS.find((one) => one === search.view);
  return view === undefined ? {} : { view };
}

/** The filters for the calls of a comparison, as they are named in the address. */
export const SHOWN = ["differing", "slower", "one-sided", "all"] as const;
export type ShownCalls = (typeof SHOWN)[number];
