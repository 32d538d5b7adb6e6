import { type Ledger, shortHash } from "@towpath/contract/ledger";
import { z } from "zod";
import { readFileIfAny, StateError, writeFileAtomic } from "../state/atomic-file.ts";

const Heads = z.array(z.string());

async function seenHeads(file: string): Promise<readonly string[]> {
  const text = await readFileIfAny(file);
  if (text === null) return [];
  try {
    return Heads.parse(JSON.parse(text));
  } catch {
    throw new StateError(
      `${file} is damaged. It shows if the ledger loses lines: delete it if you accept that risk.`,
    );
  }
}

/**
 * Checks that a ledger has every line that this worker has seen, and remembers its heads. A ledger that went back, or whose chain does
 * not extend the known one, lacks a head.
 * @param args.heads Where the seen heads are kept. @param args.what Names the ledger in the message.
 * @throws StateError
 */
export async function extendSeen(args: { ledger: Ledger; heads: string; what: string }): Promise<void> {
  const { ledger, heads, what } = args;
  const seen = await seenHeads(heads);
  const lost = seen.find((head) => !ledger.hashes.has(head));
  if (lost !== undefined)
    throw new StateError(
      `${what} lacks the line ${shortHash(lost)}, which this worker has seen. Restore it, or delete ${heads} if you accept that lines are gone.`,
    );
  if (seen.join() !== ledger.heads.join()) await writeFileAtomic(heads, JSON.stringify(ledger.heads));
}
