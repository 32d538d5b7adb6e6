import type { Case } from "./cases/case.ts";
import type { Ground } from "./ground.ts";
import { type Breach, checkInvariants } from "./invariants/index.ts";
import { seeded, seedOf } from "./random.ts";
import { Scene } from "./scene.ts";

/** The outcome of one case. */
export interface Result {
  readonly name: string;
  readonly seed: number;
  readonly runs: number;
  readonly attempts: number;
  readonly executions: number;
  readonly seconds: number;
  /** Breaches; empty if everything holds. */
  readonly faults: readonly string[];
}

const breachText = ({ invariant, seen }: Breach) => `invariant ${invariant}: ${seen}`;

/** Plays one case on its own scene and checks everything afterwards. @param args.long whether it may last minutes */
export async function runCase(
  one: Case,
  args: { seed: number; ground: Ground; long?: boolean },
): Promise<Result> {
  const random = seeded(seedOf(args.seed, one.name));
  const startedMs = performance.now();
  const nth = (most: number) => random.whole(1, most);
  const counts = { runs: 0, attempts: 0, executions: 0 };
  const faults: string[] = [];
  try {
    const controlEnv = one.controlEnv?.({ nth }) ?? {};
    await using scene = await Scene.open({
      random,
      ground: args.ground,
      controlEnv,
      embedded: one.embedded ?? false,
      travel: one.travel ?? null,
      loads: one.loads ?? false,
      long: args.long ?? false,
      workerEnv: one.workerEnv ?? {},
    });
    try {
      await one.act(scene);
    } catch (error) {
      faults.push(`the case itself: ${error instanceof Error ? error.message : String(error)}`);
    }
    await scene.settle();
    const words = lastWords(scene);
    try {
      const { breaches, ...found } = await checkInvariants(scene);
      Object.assign(counts, found);
      faults.push(...breaches.map(breachText), ...((await one.expect?.(scene)) ?? []));
    } catch (error) {
      faults.push(
        `the check itself: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    }
    if (faults.length > 0) faults.push(...words);
  } catch (error) {
    faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const seconds = (performance.now() - startedMs) / 1000;
  return { name: one.name, seed: args.seed, ...counts, seconds, faults };
}

const WORDS = 3_000;

/** The last output of each process: the first thing to read after a failure. */
function lastWords(scene: Scene): string[] {
  const outputs = [...scene.workers].map(([name, keeper]) => [name, keeper.current().output()] as const);
  return [...outputs, ["control", scene.control.output()] as const].map(
    ([name, output]) => `last words of ${name}:\n${output.slice(-WORDS)}`,
  );
}

const COLUMNS = [34, 10, 6, 9, 11, 8] as const;

/** The table's head. */
export function headLine(): string {
  return rowLine(["case", "seed", "runs", "attempts", "executions", "seconds"], "verdict");
}

/** One row of the table. `good` is the verdict of a case without breaches. */
export function resultLine(result: Result, good: string): string {
  const { name, seed, runs, attempts, executions, seconds, faults } = result;
  const cells = [name, seed, runs, attempts, executions, seconds.toFixed(1)].map(String);
  return rowLine(cells, faults.length === 0 ? good : `BROKEN (${faults.length})`);
}

function rowLine(cells: readonly string[], verdict: string): string {
  return `${cells.map((cell, index) => cell.padEnd(COLUMNS[index] ?? 0)).join(" ")} ${verdict}`;
}
