import { CheckPool } from "@towpath/contract/bounded";
import { afterAll, expect, test } from "vitest";
import { checkInTime } from "./check-parameters.ts";

const checks = new CheckPool({ coolDownMs: 0 });
afterAll(() => checks.close());

const named = (pattern: string) => ({ type: "object", properties: { name: { type: "string", pattern } } });

test("a pattern that would take years does not hang the worker", async () => {
  const parameters = { name: `${"a".repeat(60)}!` };
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const faults = await checkInTime(checks, { schema: named("^(a+)+$"), parameters });
  clearInterval(timer);
  expect(faults).toEqual([
    {
      path: "parameters",
      message: expect.stringContaining("takes too long"),
      suggestion: expect.stringContaining("simplify"),
    },
  ]);
  expect(turns).toBeGreaterThan(2);
});

test("alternatives by the thousand are given up, without any pattern", async () => {
  const schema = {
    properties: { rows: { anyOf: Array.from({ length: 4_000 }, () => ({ items: { type: "integer" } })) } },
  };
  const parameters = { rows: [...Array(10_000).fill(1), "x"] };
  const [fault] = await checkInTime(checks, { schema, parameters });
  expect(fault?.message).toMatch(/too large together|too long/);
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
