import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Ledger, nextLine, parseLedger, sha256Hex } from "@towpath/contract/ledger";
import { describe, expect, test } from "vitest";
import { caught, folderWith } from "../fixture.ts";
import { floorFor } from "./floor.ts";
import { appendLine, type ClaimedLatest, ledgerFile, nextNumber, readLedger } from "./ledger.ts";

const WORKSPACE = "0193a0b1-7c00-7000-8000-000000000001";
const OTHER = "0193a0b1-7c00-7000-8000-000000000002";
const entry = (version: number, more: object = {}) => ({
  deployment: "train",
  workspace: WORKSPACE,
  version,
  floor: 1,
  floorBy: "runs" as const,
  expiresAt: null,
  expiresBy: "project" as const,
  spec: sha256Hex(`train ${version}`),
  code: `sha256:${"a".repeat(64)}`,
  keyId: "mine",
  at: "2026-01-01T00:00:00.000Z",
  ...more,
});
const ledgerOf = (...entries: ReturnType<typeof entry>[]): Ledger =>
  parseLedger(entries.reduce((text, one) => `${text}${nextLine(parseLedger(text), one)}\n`, ""));
const claims = (version: number, more: Partial<ClaimedLatest> = {}): ClaimedLatest => ({
  name: "train",
  workspace: WORKSPACE,
  version,
  hash: version === 0 ? null : sha256Hex(`train ${version}`),
  ...more,
});
const use = { file: "", acceptGap: false, newWorkspace: false };

function numberOf(ledger: Ledger, claimed: ClaimedLatest, more: Partial<typeof use> = {}): number | string {
  try {
    return nextNumber(ledger, { claimed, use: { ...use, ...more } }).version;
  } catch (failure) {
    return (failure as { code: string }).code;
  }
}

describe("the next number", () => {
  const three = ledgerOf(entry(1), entry(2), entry(3));

  test("is that after the ledger's last, also if the control plane hides versions", () => {
    expect(numberOf(three, claims(3))).toBe(4);
    for (const hidden of [0, 1, 2]) expect(numberOf(three, claims(hidden))).toBe(4);
    const { notes } = nextNumber(three, { claimed: claims(1), use });
    expect(notes.join()).toContain("does not have v3");
  });

  test("is never one that the control plane chooses above the ledger, unless the user accepts the gap", () => {
    expect(numberOf(three, claims(4))).toBe("ledger-behind");
    expect(numberOf(three, claims(900))).toBe("ledger-behind");
    expect(numberOf(three, claims(5), { acceptGap: true })).toBe(6);
    expect(numberOf(three, claims(2_000_000_000), { acceptGap: true })).toBe("version-too-high");
  });

  test("is refused if the control plane's version has other content than the ledger's", () => {
    expect(numberOf(three, claims(3, { hash: sha256Hex("old code") }))).toBe("ledger-differs");
    const both = ledgerOf(entry(1), entry(2), entry(2, { spec: sha256Hex("of a colleague") }));
    expect(numberOf(both, claims(2, { hash: sha256Hex("of a colleague") }))).toBe(3);
  });

  test("is refused for another workspace than the ledger's, unless the user names it as new", () => {
    expect(numberOf(three, claims(0, { workspace: OTHER }))).toBe("ledger-other-workspace");
    expect(numberOf(three, claims(0, { workspace: OTHER, name: "fresh" }))).toBe("ledger-other-workspace");
    expect(numberOf(three, claims(0, { workspace: OTHER }), { newWorkspace: true })).toBe(1);
    const two = ledgerOf(entry(1), entry(1, { deployment: "dev", workspace: OTHER }));
    expect(numberOf(two, claims(0, { workspace: OTHER }))).toBe("ledger-other-workspace");
    expect(numberOf(two, claims(1, { workspace: OTHER, name: "dev" }))).toBe(2);
  });

  test("of a deployment that the ledger does not know follows the control plane's, and says so", () => {
    const empty = ledgerOf();
    expect(numberOf(empty, claims(0))).toBe(1);
    expect(numberOf(empty, claims(7))).toBe(8);
    expect(nextNumber(empty, { claimed: claims(7), use }).notes.join()).toContain("begins with v8");
    expect(numberOf(empty, claims(2_000_000_000))).toBe("version-too-high");
  });
});

describe("a line", () => {
  test("is appended before the control plane sees the spec; its number is never used again", async () => {
    await using folder = await folderWith();
    const file = ledgerFile(folder.root);
    const head = await appendLine(file, entry(1));
    expect(await appendLine(file, entry(2))).not.toBe(head);
    expect(await caught(appendLine(file, entry(2, { spec: sha256Hex("other") })))).toMatchObject({
      code: "ledger-raced",
    });
    expect((await readLedger(file)).lines).toHaveLength(2);
  });

  test("of several commands at once gets a place of its own", async () => {
    await using folder = await folderWith();
    const file = ledgerFile(folder.root);
    const names = Array.from({ length: 8 }, (_, at) => `d${at}`);
    await Promise.all(names.map((deployment) => appendLine(file, entry(1, { deployment }))));
    const { lines, heads } = await readLedger(file);
    expect(lines.map(({ entry: { deployment } }) => deployment).sort()).toEqual(names);
    expect(heads).toHaveLength(1);
  });

  test("is not added to a damaged ledger, which stays as it is", async () => {
    await using folder = await folderWith();
    const file = ledgerFile(folder.root);
    for (const version of [1, 2, 3]) await appendLine(file, entry(version));
    const rows = (await readFile(file, "utf8")).split("\n");
    await writeFile(file, rows.toSpliced(1, 1).join("\n"));
    expect(await caught(appendLine(file, entry(4)))).toMatchObject({ code: "ledger-broken" });
    await writeFile(file, `<<<<<<< HEAD\n${rows.join("\n")}=======\n>>>>>>> main\n`);
    expect(await caught(appendLine(file, entry(4)))).toMatchObject({ code: "ledger-conflict" });
    await using other = await folderWith({ "towpath.ledger.jsonl/x": "" });
    expect(await caught(readLedger(join(other.root, "towpath.ledger.jsonl")))).toMatchObject({
      code: "ledger-unreadable",
    });
  });
});

describe("the floor", () => {
  type Pinned = { oldest: number | null; runs: number; runId: string | null };
  const client = (pinned: Pinned) => ({ getPinnedVersions: async () => pinned }) as never;
  const args = { name: "train", version: 9, given: undefined, isKept: true, lagMax: 100 };
  const last = entry(8, { floor: 5 }) as never;
  const none = { oldest: null, runs: 0, runId: null };
  const pins = (oldest: number) => ({ oldest, runs: 2, runId: "r" });
  const floorOf = async (pinned: Pinned, more: object = {}) =>
    await floorFor(client(pinned), { ...args, last, ...more }).then(
      ({ floor }) => floor,
      (failure: { code: string }) => failure.code,
    );

  test("is the version itself without open runs, else the oldest that one of them needs", async () => {
    expect(await floorOf(none)).toBe(9);
    expect(await floorOf(pins(7))).toBe(7);
    expect(await floorOf(pins(9_000))).toBe(9);
  });

  test("is never below the ledger's last, whatever runs the control plane invents", async () => {
    expect(await floorOf(pins(1))).toBe(5);
    const { notes } = await floorFor(client(pins(1)), { ...args, last });
    expect(notes.join()).toContain("needs v1, which v5 has withdrawn");
  });

  test("stays at most floorLag versions behind", async () => {
    expect(await floorOf(pins(6), { lagMax: 3 })).toBe(6);
    expect(await floorOf(pins(5), { lagMax: 3 })).toBe("floor-lag");
  });

  test("of the configuration counts alone; without a ledger all versions stay allowed", async () => {
    expect(await floorOf(pins(1), { given: 3 })).toBe(3);
    expect(await floorOf(none, { isKept: false })).toBe(1);
  });
});
