import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { LEDGER_FILE, LedgerError, parseLedger, shortHash } from "@towpath/contract/ledger";
import { bad, type Check, good } from "./checks.ts";

/** Checks the chain of a worker's ledger. @param path The file, or the folder that contains it. */
export async function checkLedgerFile(path: string): Promise<Check> {
  const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false;
  const file = isFolder ? join(path, LEDGER_FILE) : path;
  const fix = "bring the copy up to date, or correct ledger in the configuration";
  try {
    const { lines, heads } = parseLedger(await readFile(file, "utf8"));
    return good("ledger", `${file}, ${lines.length} lines, head ${heads.map(shortHash).join(", ")}`);
  } catch (error) {
    return bad(
      "ledger",
      `${file}: ${error instanceof LedgerError ? error.message : "it cannot be read"}`,
      fix,
    );
  }
}

/** What is wrong with the text of a ledger, as a clause. Null: nothing is. */
export function ledgerFault(text: string): string | null {
  try {
    parseLedger(text);
    return null;
  } catch (error) {
    return error instanceof LedgerError ? error.message.replace(/\.$/, "") : "it cannot be read";
  }
}
