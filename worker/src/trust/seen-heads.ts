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

/** A ledger, and what its worker has seen of it. */
interface Extended {
  readonly ledger: Ledger;
  /** Where the seen heads are kept. */
  readonly heads: string;
  /** Names the ledger in the message. */
  readonly what: string;
}

/**
 * Checks that a ledger has every line that this worker has seen. A ledger that went back, or whose chain does not extend the known one,
 * lacks a head.
 * @returns the seen heads
 * @throws StateError
 */
export async function checkSeen({ ledger, heads, what }: Extended): Promise<readonly string[]> {
  const seen = await seenHeads(heads);
  const lost = seen.find((head) => !ledger.hashes.has(head));
  if (lost !== undefined)
    throw new StateError(
      `${what} lacks the line ${shortHash(lost)}, which this worker has seen. Restore it, or delete ${heads} if you accept that lines are gone.`,
    );
  return seen;
}

/** Checks a ledger as `checkSeen` does, and remembers its heads. @throws StateError */
export async function extendSeen(args: Extended): Promise<void> {
  const { ledger, heads } = args;
  const seen = await checkSeen(args);
  if (seen.join() !== ledger.heads.join()) await writeFileAtomic(heads, JSON.stringify(ledger.heads));
}
