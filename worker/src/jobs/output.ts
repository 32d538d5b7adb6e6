import { stat, truncate } from "node:fs/promises";
import { join } from "node:path";

/** How much of what a poller prints stays on the disk, bytes. */
const OUTPUT_BYTES = 1024 * 1024;

/** Empties the files that a poller's output goes to once they are long: it goes on at their beginning. */
export async function cutFile(dir: string): Promise<void> {
  for (const name of ["stdout", "stderr"]) {
    try {
      const path = join(dir, name);
      if ((await stat(path)).size > OUTPUT_BYTES) await truncate(path);
    } catch {
      // It goes with the process.
    }
  }
}
