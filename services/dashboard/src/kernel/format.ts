/** A duration as people read it: `840 ms`, `12.4 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** How long something has taken so far, or took. */
export function elapsed(span: { startedAt: string | null; endedAt: string | null; now: number }): string {
  if (span.startedAt === null) return "";
  const end = span.endedAt === null ? span.now : Date.parse(span.endedAt);
  return duration(end - Date.parse(span.startedAt));
}

/** The time of day of an instant, in the reader's zone, with milliseconds. */
export function timeOfDay(instant: string): string {
  const date = new Date(instant);
  const clock = date.toLocaleTimeString(undefined, { hour12: false });
  return `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** An instant in the reader's zone, and the zone's name. */
export function localTime(instant: string): string {
  return new Date(instant).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}
