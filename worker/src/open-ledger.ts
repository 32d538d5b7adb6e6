import type { Logger } from "pino";
import type { StatePaths } from "./attempts/index.ts";
import { type CodeCache, fetchFile } from "./code/index.ts";
import type { SecretSource, WorkerConfig } from "./config.ts";
import { type Clock, type Sleep, sleep } from "./host/index.ts";
import { readSecretsOf } from "./registry-secrets.ts";
import { readSecret } from "./secrets/index.ts";
import { type LedgerBook, openLedger, openRemoteLedger, REMOTE_LEDGER_BYTES } from "./trust/index.ts";

/** The deployers' ledger: a file, or an address that is read again and again. Null: the worker checks none. */
export async function openLedgerOf(
  config: WorkerConfig,
  args: {
    readonly paths: StatePaths;
    readonly clock: Clock;
    readonly sleep?: Sleep | undefined;
    readonly log: Logger;
    readonly cache: CodeCache;
  },
): Promise<LedgerBook | null> {
  const { ledger } = config;
  const { paths, log, clock, cache } = args;
  const heads = paths.ledgerHeads;
  if (ledger === undefined) return null;
  if (typeof ledger === "string") return await openLedger({ path: ledger, heads, log });
  const { from, file, branch, refreshMs, maxAgeMs } = ledger;
  const read = async (signal: AbortSignal) => {
    const source = await readSecretsOf<SecretSource, (typeof from)["kind"]>(from, (source, field) =>
      readSecret(config, { name: `the ${field} of the ledger`, source }),
    );
    return await fetchFile(cache, { source, file, branch, mostBytes: REMOTE_LEDGER_BYTES }, signal);
  };
  const address = [from.url, branch, file].filter((part) => part !== undefined).join(" ");
  return await openRemoteLedger({
    ...{ read, address, refreshMs, maxAgeMs, clock, log, sleep: args.sleep ?? sleep },
    paths: { copy: paths.ledgerCopy, copyFacts: paths.ledgerCopyFacts, heads },
  });
}
