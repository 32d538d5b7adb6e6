import { findChromium } from "../harness/index.ts";
import { hasPython } from "../python/interpreters.ts";

/** What a row needs that this machine does not have. Null: nothing, so the row can be measured. */
export function missingFor(row: string): string | null {
  if (row === "browser" && findChromium() === undefined) return "there is no Chromium";
  if (row.startsWith("python-") && !hasPython) return "there is no python3 on PATH";
  if (row === "run-as" && (process.platform !== "linux" || process.getuid?.() !== 0))
    return "only a worker that is root on Linux gives each attempt a user of its own";
  return null;
}
