import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Spec } from "@towpath/contract";
import { deploymentNameOf } from "@towpath/contract";
import {
  type CoSignature,
  LEDGER_FILE,
  type Ledger,
  type LedgerEntry,
  LedgerError,
  linesOf,
  nextLine,
  parseLedger,
  shortHash,
} from "@towpath/contract/ledger";
import { Failure } from "../failure.ts";
import { codeOf, whileLocked } from "../kernel/file-lock.ts";
import { writeWhole } from "../kernel/state-folder.ts";
import { printable } from "../output.ts";

/** The highest number that the control plane may choose for a deployment that the ledger does not know. */
const START_MAX = 1_000_000;

/** The deployer's ledger, and what the user accepts of the control plane. */
export interface LedgerUse {
  readonly file: string;
  /** Goes on above versions that the ledger lacks. */
  readonly acceptGap: boolean;
  /** Signs for a workspace that the ledger does not know. */
  readonly newWorkspace: boolean;
}

/** What the control plane says of a deployment. */
export interface ClaimedLatest {
  readonly name: string;
  readonly workspace: string;
  /** The number of its last version; 0: it has none. */
  readonly version: number;
  /** The hash of that version's payload. Null if it has none. */
  readonly hash: string | null;
}

/** The number that a deploy signs. */
export interface NextNumber {
  readonly version: number;
  /** The last line of the deployment. Null: the ledger does not know it yet. */
  readonly last: LedgerEntry | null;
  /** What the user should know. Whole sentences. */
  readonly notes: readonly string[];
}

/** The ledger of a project. */
export function ledgerFile(root: string): string {
  return join(root, LEDGER_FILE);
}

function damaged(file: string, error: LedgerError): Failure {
  const isConflict = error.fault === "conflict" || error.fault === "repeated";
  return new Failure(`${file}: ${error.message}`, {
    exit: "configuration",
    code: isConflict ? "ledger-conflict" : "ledger-broken",
    next: isConflict
      ? ["`towpath ledger merge` keeps the lines of both sides"]
      : [
          "`git log -p` on this file shows who changed it; restore it with `git checkout`",
          "nothing was signed: a ledger that was changed protects from nothing",
        ],
    cause: error,
  });
}

/** The text of a ledger. Empty if there is none. @throws Failure if it is there and cannot be read. */
export async function ledgerText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return "";
    throw new Failure(`The ledger ${file} cannot be read (${code}).`, {
      exit: "configuration",
      code: "ledger-unreadable",
      next: ["make it readable; nothing was signed"],
      cause,
    });
  }
}

/** Reads a ledger. A missing file has no lines. @throws Failure `ledger-conflict`, `ledger-broken`. */
export async function readLedger(file: string): Promise<Ledger> {
  try {
    return parseLedger(await ledgerText(file));
  } catch (error) {
    throw error instanceof LedgerError ? damaged(file, error) : error;
  }
}

/** The line of a deployment with the highest number. Null: it has none. */
export function lastOf(ledger: Ledger, of: { workspace: string; deployment: string }): LedgerEntry | null {
  return linesOf(ledger, of).reduce<LedgerEntry | null>(
    (best, one) => (best === null || one.version >= best.version ? one : best),
    null,
  );
}

function checkWorkspace(ledger: Ledger, args: { claimed: ClaimedLatest; use: LedgerUse }): void {
  const { claimed, use } = args;
  const entries = ledger.lines.map(({ entry }) => entry);
  const ofName = entries.filter(({ deployment }) => deployment === claimed.name);
  const known = [...new Set((ofName.length > 0 ? ofName : entries).map(({ workspace }) => workspace))];
  if (known.length === 0 || known.includes(claimed.workspace) || use.newWorkspace) return;
  throw new Failure(
    `The ledger knows "${claimed.name}" in the workspace ${known.join(", ")}, and the control plane says ${printable(claimed.workspace)}.`,
    {
      exit: "invalidInput",
      code: "ledger-other-workspace",
      next: [
        "nothing was signed: check the address and the key with `towpath whoami`",
        "if the project really goes to another workspace too, add --new-workspace once",
      ],
    },
  );
}

/** @throws Failure if the control plane's last version is not in the ledger. */
function checkLatest(args: {
  claimed: ClaimedLatest;
  use: LedgerUse;
  ledger: Ledger;
  last: LedgerEntry;
}): void {
  const { claimed, use, ledger, last } = args;
  if (use.acceptGap || claimed.version < last.version) return;
  const { name, version } = claimed;
  const accept = `if no other deployer has that line, for instance because it was never committed: \`towpath deploy --accept-gap\``;
  if (version > last.version)
    throw new Failure(
      `The control plane has v${version} of "${name}", and the ledger ends at v${last.version}.`,
      {
        exit: "invalidInput",
        code: "ledger-behind",
        next: ["`git pull` brings the lines of other deployers; then deploy again", accept],
      },
    );
  const signed = linesOf(ledger, { workspace: claimed.workspace, deployment: name });
  if (signed.some((one) => one.version === version && one.spec === claimed.hash)) return;
  throw new Failure(
    `The control plane has another v${version} of "${name}" than the ledger: that number is signed already.`,
    {
      exit: "invalidInput",
      code: "ledger-differs",
      next: [
        "another deployer may have signed it at the same time: `git pull`, then `towpath ledger merge`",
        accept,
      ],
    },
  );
}

/**
 * The number that the next spec of a deployment gets: that after the last one in the ledger, so that the control plane does
 * not choose it. Of a deployment without a line the control plane's number is taken.
 * @throws Failure `ledger-other-workspace`, `ledger-behind`, `ledger-differs`, `version-too-high`.
 */
export function nextNumber(ledger: Ledger, args: { claimed: ClaimedLatest; use: LedgerUse }): NextNumber {
  const { claimed, use } = args;
  const { name, workspace, version } = claimed;
  checkWorkspace(ledger, args);
  const last = lastOf(ledger, { workspace, deployment: name });
  if (version > Math.max(START_MAX, (last?.version ?? 0) * 2))
    throw new Failure(`The control plane says that "${name}" has version ${version}. That cannot be.`, {
      exit: "invalidInput",
      code: "version-too-high",
      next: ["ask its operator; nothing was signed"],
    });
  if (last === null) {
    const notes =
      version === 0
        ? []
        : [
            `The ledger begins with v${version + 1} of "${name}". Its earlier versions are the control plane's word.`,
          ];
    return { version: version + 1, last, notes };
  }
  checkLatest({ claimed, use, ledger, last });
  const notes =
    version < last.version
      ? [
          `The control plane does not have v${last.version} of "${name}", which stands in the ledger. It was not registered, or the database went back.`,
        ]
      : [];
  return { version: Math.max(last.version, version) + 1, last, notes };
}

/** Who decides on the floor and the expiry of a spec. */
export type Origins = Pick<LedgerEntry, "floorBy" | "expiresBy">;

/** The line of a spec. */
export function entryOf(
  spec: Spec,
  args: { hash: string; keyId: string } & Origins,
): Omit<LedgerEntry, "previous"> {
  return {
    deployment: deploymentNameOf(spec),
    workspace: spec.workspaceId,
    version: spec.version,
    floor: spec.floor,
    floorBy: args.floorBy,
    expiresAt: spec.expiresAt,
    expiresBy: args.expiresBy,
    spec: args.hash,
    code: spec.code.digest,
    keyId: args.keyId,
    at: spec.issuedAt,
  };
}

type NewLine = Parameters<typeof nextLine>[1];

/** Appends a line, unless `check` throws. @returns The new head. */
async function append(file: string, line: NewLine, check: (ledger: Ledger) => void): Promise<string> {
  return await whileLocked(
    file,
    async () => {
      const ledger = await readLedger(file);
      check(ledger);
      const before = await ledgerText(file);
      const text = `${before}${before === "" || before.endsWith("\n") ? "" : "\n"}${nextLine(ledger, line)}\n`;
      const { heads } = parseLedger(text);
      await writeWhole(file, text);
      return heads.at(-1) ?? "";
    },
    "the ledger stands beside the project's configuration: make that folder writable",
  );
}

/**
 * Appends the line of a signed spec before the control plane sees it. A number stays used, even if the registration fails
 * afterwards: a control plane that says so may keep the spec.
 * @returns The new head.
 * @throws Failure `ledger-raced` if another command of this folder has used the number.
 */
export async function appendLine(file: string, entry: Omit<LedgerEntry, "previous">): Promise<string> {
  return await append(file, entry, (ledger) => {
    const last = lastOf(ledger, entry);
    if (last === null || last.version < entry.version) return;
    throw new Failure(`Another command has just signed v${last.version} of "${entry.deployment}".`, {
      exit: "invalidInput",
      code: "ledger-raced",
      next: ["run this command again"],
    });
  });
}

/** Appends a further signature on a spec that has a line. @returns The new head. */
export async function appendSignature(
  file: string,
  signature: Omit<CoSignature, "previous">,
): Promise<string> {
  return await append(file, signature, () => undefined);
}

/** `3f2a9c1b7d20`, or several heads. */
export function headText(heads: readonly string[]): string {
  return heads.length === 0 ? "empty" : heads.map(shortHash).join(", ");
}
