import type { TaskRun } from "@towpath/contract";

const BASE_MS = Date.UTC(2026, 0, 1);
const at = (seconds: number) => new Date(BASE_MS + seconds * 1_000).toISOString();

/** The instant of tests, so many seconds in. */
export const momentMs = (seconds: number): number => BASE_MS + seconds * 1_000;

/** A call under a path that was made and began, and ended unless `to` is null, at these seconds. */
export function callOf(
  path: string,
  a: { from: number; to: number | null; made?: number; order?: number } & Partial<
    Pick<TaskRun, "name" | "state" | "reused">
  >,
): TaskRun {
  return {
    attemptId: "a",
    path,
    name: a.name ?? path.split(/[/:#]/)[0] ?? path,
    tries: 1,
    tryList: [],
    state: a.state ?? (a.to === null ? "running" : "completed"),
    reused: a.reused ?? false,
    order: a.order ?? a.from,
    codeVersion: null,
    inputHash: null,
    error: null,
    result: null,
    createdAt: at(a.made ?? a.from),
    startedAt: at(a.from),
    endedAt: a.to === null ? null : at(a.to),
  };
}
