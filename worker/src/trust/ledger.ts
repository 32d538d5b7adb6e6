import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { LEDGER_FILE, type Ledger, LedgerError, parseLedger, shortHash } from "@towpath/contract/ledger";
import type { Logger } from "pino";
import { z } from "zod";
import { readFileIfAny, StateError, writeFileAtomic } from "../state/atomic-file.ts";
import { type Watched, watchFiles } from "./watched.ts";

/** A spec as the ledger names it. */
export interface LedgerSpec {
  readonly workspace: string;
  readonly deployment: string;
  readonly version: number;
  /** The SHA-256 of the signed payload, hex. */
  readonly spec: string;
}

/** What the worker looks up in the deployers' ledger. */
export interface SignedSpecs {
  has(spec: LedgerSpec): boolean;
  /** Further signatures on a spec: compact JWS with a detached payload. */
  signaturesOf(spec: LedgerSpec): readonly string[];
}

const keyOf = ({ workspace, deployment, version, spec }: LedgerSpec) =>
  `${workspace} ${deployment} ${version} ${spec}`;

function indexOf(ledger: Ledger): SignedSpecs {
  const specs = new Set(ledger.lines.map(({ entry }) => keyOf(entry)));
  const signatures = Map.groupBy(ledger.signatures, keyOf);
  return {
    has: (spec) => specs.has(keyOf(spec)),
    signaturesOf: (spec) => (signatures.get(keyOf(spec)) ?? []).map(({ signature }) => signature),
  };
}

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
}): Promise<Watched<SignedSpecs>> {
  const { heads: headsFile, log } = args;
  const isFolder = (await stat(args.path).catch(() => null))?.isDirectory() ?? false;
  const path = isFolder ? join(args.path, LEDGER_FILE) : args.path;
  return await watchFiles({
    files: [path],
    load: async () => {
      const ledger = await readLedger(path);
      const lost = (await seenHeads(headsFile)).find((head) => !ledger.hashes.has(head));
      if (lost !== undefined)
        throw new StateError(
          `The ledger ${path} lacks the line ${shortHash(lost)}, which this worker has seen. Restore it, or delete ${headsFile} if you accept that lines are gone.`,
        );
      await writeFileAtomic(headsFile, JSON.stringify(ledger.heads));
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
}
