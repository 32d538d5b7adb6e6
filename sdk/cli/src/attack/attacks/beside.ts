import type { Stage } from "../stage.ts";
import { broken, type Verdict } from "../verdict.ts";

/** Plays beside an honest run, which must go on and complete. */
export async function besideRun(
  stage: Stage,
  marker: string,
  play: () => Promise<Verdict>,
): Promise<Verdict> {
  const run = await stage.busy(marker);
  const verdict = await play();
  await stage.letGo(marker);
  await stage.whileAlive(stage.liar.until(`"${marker}" has ended`, () => run.isOver));
  if (!verdict.held || run.outcome === "completed") return verdict;
  return broken(`a run beside it ended ${run.outcome}: ${run.why}`);
}
