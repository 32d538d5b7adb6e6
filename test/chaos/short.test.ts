import { expect, test } from "vitest";
import { createTestDatabase } from "../harness/index.ts";
import { CASES } from "./cases/index.ts";
import { type Ground, lazyTemplate } from "./ground.ts";
import { runCase } from "./matrix.ts";

/** A fixed seed. `npm run chaos` draws a new one each time. */
const SEED = 20;

const ground: Ground = { database: createTestDatabase, template: lazyTemplate() };

/**
 * One case of each kind: an answer lost after its commit, a killed control plane, a killed worker, a link that is down for too long,
 * and a database that goes back.
 */
const SHORT = [
  "control-drop@acknowledge",
  "control-kill@end",
  "worker-kill@journal",
  "link-down-stopping",
  "travel-pitr@runs",
];

test.each(SHORT)("the invariants hold after %s", { timeout: 120_000 }, async (name) => {
  const found = CASES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`There is no case ${name}.`);
  const result = await runCase(found, { seed: SEED, ground });
  expect(result.faults).toEqual([]);
});
