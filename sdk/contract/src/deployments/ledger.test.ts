import fc from "fast-check";
import { expect, test } from "vitest";
import {
  joinLedger,
  LedgerError,
  type LedgerFault,
  linesOf,
  nextLine,
  parseLedger,
  payloadHash,
  sha256Hex,
} from "./ledger.ts";

const WORKSPACE = "0193a0b1-7c00-7000-8000-000000000001";
const entry = (deployment: string, version: number, content = `${deployment} ${version}`) => ({
  deployment,
  workspace: WORKSPACE,
  version,
  floor: 1,
  floorBy: "runs" as const,
  expiresAt: null,
  expiresBy: "project" as const,
  spec: sha256Hex(content),
  code: `sha256:${"a".repeat(64)}`,
  keyId: "mine",
  at: "2026-01-01T00:00:00.000Z",
});
const append = (text: string, ...more: Parameters<typeof entry>) =>
  `${text}${nextLine(parseLedger(text), entry(...more))}\n`;
const of = (...versions: number[]) => versions.reduce((text, one) => append(text, "train", one), "");

function faultOf(text: string): LedgerFault | null {
  try {
    parseLedger(text);
    return null;
  } catch (error) {
    if (error instanceof LedgerError) return error.fault;
    throw error;
  }
}

const rowsOf = (text: string) => text.split("\n").filter((row) => row !== "");

test("an appended line follows the head, and is the new one", () => {
  const two = parseLedger(of(1, 2));
  expect(two.lines[1]?.entry.previous).toEqual([two.lines[0]?.hash]);
  expect(two.heads).toEqual([two.lines[1]?.hash]);
  expect(linesOf(two, { workspace: WORKSPACE, deployment: "train" }).map(({ version }) => version)).toEqual([
    1, 2,
  ]);
  expect(linesOf(two, { workspace: WORKSPACE, deployment: "other" })).toEqual([]);
  expect(parseLedger("")).toMatchObject({ lines: [], signatures: [], heads: [] });
});

test("no line but the last can be changed, removed, repeated or moved without a fault", () => {
  const rows = rowsOf(of(1, 2, 3, 4, 5));
  fc.assert(
    fc.property(
      fc.nat(rows.length - 2),
      fc.nat(rows.length - 1),
      fc.constantFrom("change", "remove", "repeat", "move"),
      (at, to, how) => {
        const row = rows[at] ?? "";
        const without = rows.toSpliced(at, 1);
        fc.pre(how !== "move" || at !== to);
        const damaged = {
          change: rows.with(at, row.replace('"floor":1', '"floor":2')),
          remove: without,
          repeat: rows.toSpliced(to, 0, row),
          move: without.toSpliced(to, 0, row),
        }[how];
        expect(faultOf(damaged.join("\n"))).not.toBeNull();
      },
    ),
    { numRuns: 300 },
  );
});

test("no changed character passes unless it leaves the entry's text alone", () => {
  const text = of(1, 2, 3);
  const [, , last = ""] = rowsOf(text);
  fc.assert(
    fc.property(fc.nat(text.length - last.length - 3), fc.constantFrom("0", "f", "x", '"'), (at, char) => {
      fc.pre(text[at] !== char);
      expect(faultOf(text.slice(0, at) + char + text.slice(at + 1))).not.toBeNull();
    }),
    { numRuns: 300 },
  );
});

test("lines of deployers who signed at the same time are joined, whatever the order, and the next line follows both", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      (shared, mine, theirs) => {
        const base = of(...Array.from({ length: shared }, (_, at) => at + 1));
        const side = (name: string, count: number) =>
          Array.from({ length: count }, (_, at) => at + 1).reduce(
            (text, one) => append(text, name, one),
            base,
          );
        const [ours, others] = [
          side("mine", mine).slice(base.length),
          side("theirs", theirs).slice(base.length),
        ];
        const conflict = `${base}<<<<<<< HEAD\n${ours}=======\n${others}>>>>>>> main\n`;
        expect(faultOf(conflict)).toBe("conflict");
        const { text, ledger } = joinLedger(conflict);
        expect(ledger.lines).toHaveLength(shared + mine + theirs);
        expect(ledger.heads).toHaveLength(2);
        expect(joinLedger(text).text).toBe(text);
        const next = parseLedger(append(text, "mine", mine + 1));
        expect(next.heads).toHaveLength(1);
        expect(next.lines.at(-1)?.entry.previous).toEqual(ledger.heads);
      },
    ),
  );
});

test("git's own union of both sides is a ledger", () => {
  const base = of(1);
  const union = `${append(base, "mine", 1)}${append(base, "theirs", 1).slice(base.length)}`;
  expect(parseLedger(union).heads).toHaveLength(2);
});

test("a line of a later release with more fields is read, and its hash covers them", () => {
  const [row = ""] = rowsOf(of(1));
  const more = `${JSON.stringify({ ...JSON.parse(row), later: true })}\n`;
  const text = append(more, "train", 2);
  expect(faultOf(text)).toBeNull();
  expect(faultOf(text.replace('"later":true', '"later":false'))).toBe("broken-chain");
});

test("a line names the digest of every kind of code", () => {
  for (const code of ["a".repeat(40), `sha256:${"a".repeat(64)}`, `sha512:${"a".repeat(128)}`]) {
    const line = nextLine(parseLedger(""), { ...entry("train", 1), code });
    expect(parseLedger(`${line}\n`).lines[0]?.entry).toMatchObject({ code });
  }
});

test("what is no entry is refused with its line", () => {
  expect(() => parseLedger(`${of(1)}{"deployment":"train"}\n`)).toThrow("Line 2 of the ledger is no entry");
  expect(faultOf("not json\n")).toBe("bad-line");
  expect(faultOf(`${"x".repeat(5000)}\n`)).toBe("bad-line");
});

test("the hash of a spec is that of its payload", () => {
  const payload = Buffer.from('{"a":1}').toString("base64url");
  expect(payloadHash(`head.${payload}.signature`)).toBe(sha256Hex('{"a":1}'));
  expect(payloadHash("nothing")).toBeNull();
});
