import type { Fault } from "@towpath/contract";
import { CheckPool } from "@towpath/contract/bounded";
import { afterAll, expect, test } from "vitest";
import { checkInTime } from "./check-parameters.ts";
import { Refusal } from "./refusal.ts";

const checks = new CheckPool({ coolDownMs: 0 });
afterAll(() => checks.close());

const named = (pattern: string) => ({ type: "object", properties: { name: { type: "string", pattern } } });

/** Why parameters do not pass. A machine that is busy with something else has no answer, and says so. */
const whyNot = async (asked: Promise<readonly Fault[]>): Promise<string> =>
  await asked.then(
    (faults) => faults.map(({ path, message, suggestion }) => `${path}: ${message}; ${suggestion}`).join(),
    (error: unknown) => (error instanceof Refusal ? error.code : Promise.reject(error)),
  );

test("a pattern that would take years does not hang the worker", async () => {
  const parameters = { name: `${"a".repeat(60)}!` };
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const why = await whyNot(checkInTime(checks, { schema: named("^(a+)+$"), parameters }));
  clearInterval(timer);
  expect(why).toMatch(/^parameters: .*takes too long; simplify|^unchecked$/);
  expect(turns).toBeGreaterThan(2);
});

test("alternatives by the thousand are given up, without any pattern", async () => {
  const schema = {
    properties: { rows: { anyOf: Array.from({ length: 4_000 }, () => ({ items: { type: "integer" } })) } },
  };
  const parameters = { rows: [...Array(10_000).fill(1), "x"] };
  const why = await whyNot(checkInTime(checks, { schema, parameters }));
  expect(why).toMatch(/too large together|too long|^unchecked$/);
});

test("parameters that no thread could check now are not refused: the run waits", async () => {
  const checksNothing = new CheckPool();
  await checksNothing.close();
  const asked = checkInTime(checksNothing, { schema: named("^a+$"), parameters: { name: "aa" } });
  await expect(asked).rejects.toMatchObject({ name: "Refusal", code: "unchecked", mayPass: true });
});

test("cheap checks still work, with a pattern and without", async () => {
  expect(await checkInTime(checks, { schema: named("^a+$"), parameters: { name: "aa" } })).toEqual([]);
  expect(await checkInTime(checks, { schema: named("^a+$"), parameters: { name: "b" } })).toMatchObject([
    { path: "parameters.name" },
  ]);
  const plain = { type: "object", properties: { n: { type: "number" } } };
  expect(await checkInTime(checks, { schema: plain, parameters: { n: "x" } })).toMatchObject([
    { path: "parameters.n" },
  ]);
});
