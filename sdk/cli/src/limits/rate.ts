import { parseDuration } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { formatDuration } from "../kernel/duration.ts";

/** Parses a rate: `100/1m` is 100 tokens, and each returns a minute after it was taken. */
export function rateOf(text: string): { slots: number; perMs: number } {
  const [, tokens = "", per = ""] = /^(\d{1,6})\/(.+)$/.exec(text) ?? [];
  const perMs = parseDuration(/^\d/.test(per) ? per : `1${per}`);
  if (tokens !== "" && perMs !== null && perMs > 0) return { slots: Number(tokens), perMs };
  throw new Failure(`--rate "${text}" is not a rate.`, {
    exit: "usage",
    next: ["write a number per time: 100/1m, 5/s or 1000/24h"],
  });
}

/** A limit's slots, or its tokens per time. */
export function slotsText({ slots, perMs }: { slots: number; perMs: number | null }): string {
  return perMs === null ? `${slots}` : `${slots} per ${formatDuration(perMs)}`;
}
