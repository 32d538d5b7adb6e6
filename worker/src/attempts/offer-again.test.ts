import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS } from "@towpath/contract";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { AckFile } from "../journal/ack-file.ts";
import { ackPath } from "../journal/index.ts";
import type { AttemptDeps } from "./deps.ts";
import { type AskedJournal, type OfferTaker, offerAgain } from "./offer-again.ts";
import { claimName } from "./paths.ts";

/** How many journals may be open. */
const OPEN_MAX = LIMITS.attempts - 100;
/** The most looks of an offering in a test. */
const LOOKS_MAX = 100;

/** What an offering needs that opens no journal. */
function depsOf(journals: string): AttemptDeps {
  const clock = { nowMs: () => Date.now() };
  const deps = { log: pino({ level: "silent" }), clock, bootClock: clock };
  return { ...deps, paths: { journals }, wake: { report: () => {} } } as AttemptDeps;
}

/** The folder of one journal with a recent acknowledgement. */
async function makeJournal(): Promise<{ dir: string; name: string }> {
  const dir = await mkdtemp(join(tmpdir(), "twp-offer-"));
  onTestFinished(() => rm(dir, { recursive: true }));
  const fence = { attemptId: "01920000-0000-7000-8000-000000000000", epoch: 1, nonce: "n".repeat(32) };
  const name = claimName(fence);
  await mkdir(join(dir, name));
  await writeFile(join(dir, name, "fence.json"), JSON.stringify(fence));
  const file = await AckFile.open(ackPath(join(dir, name), "control"));
  await file.advance(1);
  await file.close();
  return { dir, name };
}

/** Open journals without an answer. Closing one takes a turn of the event loop. */
function openUnanswered(count: number) {
  const open = new Set<string>();
  const letGo = (name: string) => async () => {
    await new Promise(setImmediate);
    open.delete(name);
  };
  const idle = { resends: false, progress: 0, stop: null, assignment: null, stored: null } as const;
  const all = Array.from({ length: count }, (_, index) => {
    const name = `${index}.1`;
    open.add(name);
    return { ...idle, name, phase: "closing", asks: true, ask: async () => {}, letGo: letGo(name) } as const;
  });
  return { open, all: () => all.filter(({ name }) => open.has(name)) };
}

test("the offering waits for room while attempts that were left out are being closed", async () => {
  const { dir, name } = await makeJournal();
  const { open, all } = openUnanswered(OPEN_MAX);
  const askedWith: number[] = [];
  let [looks, answeredMs] = [0, 0];
  const taker: OfferTaker = {
    all,
    asked: new Map<string, AskedJournal>(),
    add: () => {},
    has: (claim) => open.has(claim),
    get answeredMs() {
      return answeredMs;
    },
    async until(isSo) {
      looks += 1;
      if (looks > LOOKS_MAX) throw new Error("it looks without an end");
      answeredMs += 60_000;
      if (taker.asked.has(name)) askedWith.push(open.size);
      if (isSo()) return true;
      await new Promise(setImmediate);
      return isSo();
    },
  };
  await offerAgain(depsOf(dir), taker, new AbortController().signal).done;
  expect(askedWith.length).toBeGreaterThan(0);
  expect(Math.max(...askedWith)).toBeLessThan(OPEN_MAX);
  expect(open.size).toBe(0);
});
