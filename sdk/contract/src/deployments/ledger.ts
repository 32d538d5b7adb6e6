import { createHash } from "node:crypto";
import { z } from "zod";
import { DeploymentName, Id, Instant } from "../kernel/names.ts";

/** The deployer's ledger, in the project's folder. */
export const LEDGER_FILE = "towpath.ledger.jsonl";

/** The limits of a ledger. */
export const LEDGER_LIMITS = {
  lines: 100_000,
  lineChars: 4_096,
  bytes: 64 * 1024 * 1024,
  /** The most heads that one line joins. */
  previous: 16,
} as const;

const Hash = z.string().regex(/^[0-9a-f]{64}$/);

/** One signed spec. Later releases may add fields: the hash of a line covers its whole text. */
export const LedgerEntry = z.object({
  deployment: DeploymentName.describe("With its stage: `churn@prod`."),
  workspace: Id,
  version: z.int().min(1),
  floor: z.int().min(1),
  floorBy: z
    .enum(["author", "runs"])
    .describe("Whether the project's configuration sets the floor, or the runs that had not ended."),
  expiresAt: Instant.nullable(),
  expiresBy: z
    .enum(["author", "project"])
    .describe("Whether the deployment sets the expiry, or the time for all specs of the project."),
  spec: Hash.describe("The SHA-256 of the signed payload."),
  // The SHA-512 of a package of npm has 135 characters with its prefix.
  code: z.string().min(1).max(256),
  keyId: z.string().min(1).max(200),
  at: Instant.describe("When the spec was issued."),
  previous: z
    .array(Hash)
    .max(LEDGER_LIMITS.previous)
    .describe("The hashes of the heads before it. Several: it joins the lines of several deployers."),
});
export type LedgerEntry = z.output<typeof LedgerEntry>;

/** A further signature on the spec of an earlier line, by another person. */
export const CoSignature = z.object({
  kind: z.literal("signature"),
  deployment: DeploymentName,
  workspace: Id,
  version: z.int().min(1),
  spec: Hash.describe("The SHA-256 of the signed payload."),
  signature: z
    .string()
    .max(1_024)
    .regex(/^[\w-]+\.\.[\w-]+$/)
    .describe("A compact JWS with a detached payload (RFC 7515, appendix F)."),
  keyId: z.string().min(1).max(200),
  at: Instant,
  previous: LedgerEntry.shape.previous,
});
export type CoSignature = z.output<typeof CoSignature>;

/** One line of a ledger. */
export interface LedgerLine {
  readonly entry: LedgerEntry;
  /** The SHA-256 of its text. */
  readonly hash: string;
}

/** A checked ledger. */
export interface Ledger {
  readonly lines: readonly LedgerLine[];
  /** The signatures of further people. */
  readonly signatures: readonly CoSignature[];
  /** The hashes of lines that no other line follows, in the file's order. */
  readonly heads: readonly string[];
  /** The hashes of all lines. */
  readonly hashes: ReadonlySet<string>;
}

/** What is wrong with a ledger. */
export type LedgerFault = "conflict" | "bad-line" | "broken-chain" | "repeated" | "too-large";

/** A ledger that cannot be used. `line` counts from 1. */
export class LedgerError extends Error {
  override readonly name = "LedgerError";
  readonly fault: LedgerFault;
  readonly line: number;

  constructor(fault: LedgerFault, args: { line: number; message: string }) {
    super(`Line ${args.line} of the ledger ${args.message}.`);
    this.fault = fault;
    this.line = args.line;
  }
}

/** The SHA-256 of a text or bytes, in lower-case hex. */
export function sha256Hex(of: string | Uint8Array): string {
  return createHash("sha256").update(of).digest("hex");
}

/** The SHA-256 of the payload of a compact JWS. Null if it is none. */
export function payloadHash(jws: string): string | null {
  const [, payload] = jws.split(".");
  return payload === undefined ? null : sha256Hex(Buffer.from(payload, "base64url"));
}

/** The start of a hash, enough to compare two ledgers by eye. */
export function shortHash(hash: string): string {
  return hash.slice(0, 12);
}

/** A line that git writes into a file with a conflict. */
const CONFLICT_MARK = /^(<{7}|={7}|>{7}|\|{7})( |$)/;

const AnyEntry = z.union([CoSignature, LedgerEntry]);

function readLine(text: string, line: number): z.output<typeof AnyEntry> {
  if (CONFLICT_MARK.test(text))
    throw new LedgerError("conflict", { line, message: "is a conflict mark of git" });
  if (text.length > LEDGER_LIMITS.lineChars)
    throw new LedgerError("bad-line", {
      line,
      message: `is longer than ${LEDGER_LIMITS.lineChars} characters`,
    });
  try {
    return AnyEntry.parse(JSON.parse(text));
  } catch {
    throw new LedgerError("bad-line", { line, message: "is no entry of a ledger" });
  }
}

/**
 * Reads a ledger and checks its chain: each line names the hashes of the lines before it that no other line had followed.
 * So no line can be changed, removed from the middle or put in between without a fault.
 * @throws LedgerError
 */
export function parseLedger(text: string): Ledger {
  if (text.length > LEDGER_LIMITS.bytes)
    throw new LedgerError("too-large", { line: 1, message: "begins a file that is too large" });
  const rows = text.split("\n").filter((row) => row !== "");
  if (rows.length > LEDGER_LIMITS.lines)
    throw new LedgerError("too-large", {
      line: LEDGER_LIMITS.lines + 1,
      message: `is beyond the limit of ${LEDGER_LIMITS.lines} lines`,
    });
  const lines: LedgerLine[] = [];
  const signatures: CoSignature[] = [];
  const known = new Map<string, number>();
  const heads = new Set<string>();
  for (const [index, row] of rows.entries()) {
    const line = index + 1;
    const entry = readLine(row, line);
    const hash = sha256Hex(row);
    const earlier = known.get(hash);
    if (earlier !== undefined)
      throw new LedgerError("repeated", { line, message: `is the same as line ${earlier}` });
    for (const previous of entry.previous) {
      if (!known.has(previous))
        throw new LedgerError("broken-chain", {
          line,
          message: `follows a line ${shortHash(previous)} that is not before it: a line was changed, removed or moved`,
        });
      heads.delete(previous);
    }
    known.set(hash, line);
    heads.add(hash);
    if ("kind" in entry) signatures.push(entry);
    else lines.push({ entry, hash });
  }
  return { lines, signatures, heads: [...heads], hashes: new Set(known.keys()) };
}

/** The text of the line that follows all heads of a ledger, without a line end. */
export function nextLine(
  ledger: Pick<Ledger, "heads">,
  entry: Omit<LedgerEntry, "previous"> | Omit<CoSignature, "previous">,
): string {
  return JSON.stringify({ ...entry, previous: ledger.heads.slice(0, LEDGER_LIMITS.previous) });
}

/** The lines of a deployment in a workspace, in the file's order. */
export function linesOf(
  ledger: Ledger,
  of: { readonly workspace: string; readonly deployment: string },
): LedgerEntry[] {
  return ledger.lines
    .map(({ entry }) => entry)
    .filter((entry) => entry.workspace === of.workspace && entry.deployment === of.deployment);
}

/**
 * Joins both sides of a conflict of git: keeps each line once and drops the marks. Lines of one side keep their order.
 * @throws LedgerError if the joined ledger is damaged.
 */
export function joinLedger(text: string): { readonly text: string; readonly ledger: Ledger } {
  const rows = text
    .split("\n")
    .map((row) => row.replace(/\r$/, ""))
    .filter((row) => row !== "" && !CONFLICT_MARK.test(row));
  const joined = `${[...new Set(rows)].join("\n")}\n`;
  return { text: joined, ledger: parseLedger(joined) };
}
