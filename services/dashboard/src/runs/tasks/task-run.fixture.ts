import type { TaskRun } from "@towpath/contract";

const BASE_MS = Date.UTC(2026, 0, 1);
const at = (seconds: number) => new Date(BASE_MS + seconds * 1_000).toISOString();

/** A test's instant, in seconds after its start. */
export const momentMs = (seconds: number): number => BASE_MS + seconds * 1_000;

/** A call with these times in seconds. It has ended unless `to` is null. */
export function callOf(
  path: string,
  args: { from: number; to: number | null; made?: number; order?: number } & Partial<
    Pick<TaskRun, "name" | "state" | "reused">
  > & {
      /** The paths of the calls that its data came from. */
      readonly data?: readonly string[];
    },
): TaskRun {
  return {
    attemptId: "a",
    path,
    name: args.name ?? path.split(/[/:#]/)[0] ?? path,
    tries: 1,
    tryList: [],
    state: args.state ?? (args.to === null ? "running" : "completed"),
    reused: args.reused ?? false,
    order: args.order ?? args.from,
    codeVersion: null,
    inputHash: null,
    error: null,
    result: null,
    ...(args.data !== undefined && { upstream: { paths: [...args.data] } }),
    createdAt: at(args.made ?? args.from),
    startedAt: at(args.from),
    endedAt: args.to === null ? null : at(args.to),
  };
}
