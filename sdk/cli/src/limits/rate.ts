import { parseDuration } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { formatDuration } from "../kernel/duration.ts";

/** A rate as an option says it: `100/1m` is 100 tokens, each of which returns a minute after it was taken. */
export function rateOf(text: string): { slots: number; perMs: number } {
  const [, tokens = "", per = ""] = /^(\d{1,6})\/(.+)$/.exec(text) ?? [];
  const perMs = parseDuration(/^\d/.test(per) ? per : `1${per}`);
  if (tokens !== "" && perMs !== null && perMs > 0) return { slots: Number(tokens), perMs };
  throw new Failure(`--rate "${text}" is no rate.`, {
    exit: "usage",
    next: ["write it as so many per time: 100/1m, 5/s or 1000/24h"],
  });
}

/** How many slots a limit has, or tokens per time. */
export function slotsText({ slots, perMs }: { slots: number; perMs: number | null }): string {
  return perMs === null ? `${slots}` : `${slots} per ${formatDuration(perMs)}`;
}
