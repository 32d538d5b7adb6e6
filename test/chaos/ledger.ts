import { readFile } from "node:fs/promises";
import { z } from "zod";

const Line = z.object({
  run: z.string(),
  attempt: z.int(),
  attemptId: z.string(),
  pid: z.int(),
  /** Monotonic clock of the machine, comparable between processes. */
  atMs: z.number(),
  what: z.enum(["begin", "beat", "step", "child", "end"]),
  index: z.int().optional(),
  child: z.int().optional(),
});
/** One action of a flow. */
export type LedgerLine = z.infer<typeof Line>;

/** One process that ran an attempt's code, by the ledger. */
export interface Execution {
  readonly run: string;
  readonly attempt: number;
  readonly attemptId: string;
  readonly pid: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly ended: boolean;
  readonly steps: readonly number[];
  readonly children: readonly number[];
}

/** All actions of all flows, in the order of writing. A kill may tear the last line of its process, never another one's. */
export async function readLedger(path: string): Promise<LedgerLine[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      return [Line.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
}

/** Groups a ledger by process. */
export function executionsOf(lines: readonly LedgerLine[]): Execution[] {
  const groups = Map.groupBy(lines, ({ attemptId, pid }) => `${attemptId} ${pid}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    const last = group.at(-1);
    if (!first || !last) return [];
    return [
      {
        run: first.run,
        attempt: first.attempt,
        attemptId: first.attemptId,
        pid: first.pid,
        firstMs: first.atMs,
        lastMs: last.atMs,
        ended: group.some(({ what }) => what === "end"),
        steps: group.flatMap(({ what, index }) => (what === "step" && index !== undefined ? [index] : [])),
        children: group.flatMap(({ child }) => child ?? []),
      },
    ];
  });
}
