import { textInZone } from "@towpath/contract";
import { formatAge } from "./duration.ts";

let known: string | undefined;

/** The time zone of this machine, for people. Most commands do not need it, and finding it takes 7 ms. */
function localZone(): string {
  known ??= new Intl.DateTimeFormat().resolvedOptions().timeZone;
  return known;
}

/** How long an instant counts as near, so that its distance from now says more, milliseconds. */
const NEAR_MS = 24 * 60 * 60 * 1000;

/** The time from now: `in 3 h`, or `now`. */
export function timeUntil(at: string, nowMs: number): string {
  const ms = Date.parse(at) - nowMs;
  return ms <= 0 ? "now" : `in ${formatAge(new Date(nowMs - ms).toISOString(), nowMs).replace(" ago", "")}`;
}

/**
 * An instant as people read it. Within a day before now: `3 min ago`. Else the local time with its offset from UTC, and within a
 * day after now its distance too: `2026-11-23T15:00:00+01:00 (in 4 h)`.
 */
export function instantText(at: string, nowMs: number, zone: string = localZone()): string {
  const ms = Date.parse(at) - nowMs;
  if (ms <= 0 && ms > -NEAR_MS) return formatAge(at, nowMs);
  const local = textInZone(at, zone);
  return ms > 0 && ms < NEAR_MS ? `${local} (${timeUntil(at, nowMs)})` : local;
}

/** Writes the instants in a sentence of the control plane as local time. It names them in UTC. */
export function localTimes(text: string, zone: string = localZone()): string {
  return text.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (at) => textInZone(at, zone));
}

/** The local time of day of a log line: `15:04:05.123`. */
export function timeOfDay(at: string): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, "0");
  const seconds = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${seconds}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
