import { uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { expect, test } from "vitest";
import { DatabaseWatch } from "./database-watch.ts";
import type { Met } from "./identity.ts";

/** A watch whose offerings and disk writes end when the test says so. */
function openWatch() {
  const incarnation = uuidv7(Date.now());
  const offerings: PromiseWithResolvers<void>[] = [];
  const state = { atMs: 0, offered: 0, onOffered: () => {} };
  const met: Met = { incarnation, position: null };
  const watch = new DatabaseWatch({
    log: pino({ level: "silent" }),
    bootClock: { nowMs: () => state.atMs },
    sleep: async () => {},
    identity: { workerId: uuidv7(Date.now()), met, meet: async () => {} },
    offerAgain: () => {
      const offering = Promise.withResolvers<void>();
      offerings.push(offering);
      return offering.promise;
    },
    offered: () => {
      state.offered += 1;
      state.onOffered();
    },
  });
  /** An answer, long after the one before. */
  const hear = (said: { incarnation?: string; position?: number }) => {
    state.atMs += 10_000;
    watch.heard(said, state.atMs);
  };
  return { watch, hear, offerings, state, incarnation };
}

test("names the incarnation it has offered to only while answers ask for it", () => {
  const { watch, hear, incarnation } = openWatch();
  expect(watch.reconciled).toBeUndefined();
  hear({ incarnation, position: 1 });
  expect(watch.reconciled).toBe(incarnation);
  hear({ incarnation });
  expect(watch.reconciled).toBeUndefined();
  hear({ incarnation, position: 2 });
  hear({});
  expect(watch.reconciled).toBeUndefined();
});

test("offers anew when the same incarnation goes back a second time meanwhile", async () => {
  const { watch, hear, offerings, state, incarnation } = openWatch();
  for (const position of [100, 110, 120, 50, 60, 70, 20]) hear({ incarnation, position });
  expect(offerings).toHaveLength(1);
  offerings[0]?.resolve();
  await expect.poll(() => offerings.length).toBe(2);
  expect(state.offered).toBe(0);
  expect(watch.reconciled).toBeNull();
  offerings[1]?.resolve();
  await watch.settled();
  expect(watch.reconciled).toBe(incarnation);
  expect(state.offered).toBe(1);
});

test("notices a fall that arrives just when everything was offered", async () => {
  const { hear, offerings, state, incarnation } = openWatch();
  for (const position of [100, 110, 120, 50, 60, 70]) hear({ incarnation, position });
  // Before any other code learns that this offering is over.
  state.onOffered = () => void Promise.resolve().then(() => hear({ incarnation, position: 20 }));
  offerings[0]?.resolve();
  await expect.poll(() => offerings.length).toBe(2);
});
