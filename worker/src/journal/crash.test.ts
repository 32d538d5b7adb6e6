import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openJournal } from "./journal.ts";

const APPENDER = fileURLToPath(new URL("./appender.fixture.ts", import.meta.url));
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-crash-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Lets the appender report this many appends, kills it, and returns the last number that it reported. */
async function appendUntilKilled(args: { dir: string; mode: string; reports: number }): Promise<number> {
  const child = spawn(process.execPath, [APPENDER, args.dir, args.mode], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let [reported, seen] = [0, 0];
  for await (const line of createInterface({ input: child.stdout })) {
    reported = Number(line);
    seen += 1;
    // Lines in the pipe at its death were reported too, so reading goes on to the end.
    if (seen === args.reports) child.kill("SIGKILL");
  }
  expect(await exited).toEqual([null, "SIGKILL"]);
  return reported;
}

test("after kill -9 everything that was reported as appended is there", { timeout: 60_000 }, async () => {
  const dir = join(root, "steady");
  let before = 0;
  for (const reports of [1, 37, 400]) {
    const reported = await appendUntilKilled({ dir, mode: "steady", reports });
    expect(reported).toBeGreaterThan(before);
    const journal = await openJournal({ dir, lane: "control" });
    expect(journal.lastSeq).toBeGreaterThanOrEqual(reported);
    const records = await journal.pending({ maxRecords: 1e6, maxBytes: 1e9 });
    expect(records).toHaveLength(journal.lastSeq);
    for (const { seq, payload } of records)
      expect(payload.toString()).toBe(`${seq}:${"z".repeat(seq % 500)}`);
    before = journal.lastSeq;
    await journal.close();
  }
});

test("kill -9 during a rewrite of the file loses no record that was not acknowledged", {
  timeout: 60_000,
}, async () => {
  const dir = join(root, "reclaiming");
  for (const reports of [150, 333, 801]) {
    const reported = await appendUntilKilled({ dir, mode: "reclaiming", reports });
    const journal = await openJournal({ dir, lane: "control" });
    expect(journal.lastSeq).toBeGreaterThanOrEqual(reported);
    const records = await journal.pending({ maxRecords: 1e6, maxBytes: 1e9 });
    expect(records.map(({ seq }) => seq)).toEqual(
      Array.from(
        { length: journal.lastSeq - journal.acknowledgedSeq },
        (_, index) => journal.acknowledgedSeq + index + 1,
      ),
    );
    for (const { seq, payload } of records)
      expect(payload.toString()).toBe(`${seq}:${"z".repeat(seq % 500)}`);
    await journal.close();
  }
});
