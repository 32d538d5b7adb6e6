import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { LEDGER_FILE, type Ledger, LedgerError, parseLedger, shortHash } from "@towpath/contract/ledger";
import type { Logger } from "pino";
import { StateError } from "../state/atomic-file.ts";
import { extendSeen } from "./seen-heads.ts";
import { indexOf, type LedgerBook } from "./signed-specs.ts";
import { watchFiles } from "./watched.ts";

async function readLedger(path: string): Promise<Ledger> {
  try {
    return parseLedger(await readFile(path, "utf8"));
  } catch (error) {
    const why = error instanceof LedgerError ? error.message : "It cannot be read.";
    throw new StateError(
      `The ledger ${path} cannot be used: ${why} Bring the copy up to date, or correct "ledger" in the worker's configuration.`,
    );
  }
}

/**
 * Opens the deployers' ledger. Lines are only ever added: the worker remembers the heads that it has seen, and does not use a
 * ledger that lacks one of them.
 * @param args.path The file, or the folder that contains it.
 * @param args.heads Where the seen heads are kept.
 * @throws StateError when it is missing, damaged, or lacks lines that this worker has seen.
 */
export async function openLedger(args: {
  readonly path: string;
  readonly heads: string;
  readonly log: Pick<Logger, "error" | "info">;
}): Promise<LedgerBook> {
  const { heads, log } = args;
  const isFolder = (await stat(args.path).catch(() => null))?.isDirectory() ?? false;
  const path = isFolder ? join(args.path, LEDGER_FILE) : args.path;
  const watched = await watchFiles({
    files: [path],
    load: async () => {
      const ledger = await readLedger(path);
      await extendSeen({ ledger, heads, what: `The ledger ${path}` });
      log.info(
        { lines: ledger.lines.length, heads: ledger.heads.map(shortHash) },
        "the ledger of signed specs",
      );
      return indexOf(ledger);
    },
    failed: (error) =>
      log.error(
        { error: error instanceof Error ? error.message : String(error) },
        "the ledger has changed and cannot be used; the lines before it stay in force until it is corrected",
      ),
  });
  return { current: watched.current, latest: watched.current, close: async () => undefined };
}
