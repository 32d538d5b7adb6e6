import { type Json, Problem, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { inTransaction } from "../kernel/index.ts";
import { checkBounded } from "./bounded-check.ts";

type Schema = { [key: string]: Json };

const evil = { type: "object", properties: { name: { type: "string", pattern: "^(a+)+$" } } };
const longest = { name: `${"a".repeat(60)}!` };

let database: TestDatabase;
let deps: TestDeps;
beforeAll(async () => {
  database = await createTestDatabase();
  deps = await openTestDeps({ url: database.url });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
});

async function checked(schema: Schema, value: Json, workspaceId = uuidv7(0)) {
  const texts = [JSON.stringify(value)];
  const a = { workspaceId, tx: null, schema, values: [value], texts, root: "parameters" as const };
  const [answer] = await checkBounded(deps.database, a);
  return answer;
}

/** The answer of a machine that was too busy for a check. Its caller tries again, and so do these tests. */
const isOfBusyMachine = (answer: Awaited<ReturnType<typeof checked>>) =>
  answer instanceof Problem && answer.detail.endsWith("could not be checked in time. Try again.");

/** Checks until the machine has time for it. The time limit of the test ends this. */
async function checkedAtLast(...args: Parameters<typeof checked>): ReturnType<typeof checked> {
  for (;;) {
    const answer = await checked(...args);
    if (!isOfBusyMachine(answer)) return answer;
  }
}

/** How often other work got a turn in this process while some work was under way. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const done = work.finally(() => {
    isOver = true;
  });
  for (; !isOver; turns++) await new Promise((resolve) => setTimeout(resolve, 1));
  await done;
  return turns;
}

const integers = Array.from({ length: 4_000 }, () => ({ items: { type: "integer" } }));
const lists = Array.from({ length: 4_000 }, (_, n) => [n]);
const names = Array.from({ length: 4_000 }, (_, n) => [`${n}${"k".repeat(100)}`, true] as const);

/** The limit of steps, or on a busy machine the limit of time. */
const GIVEN_UP = /within \d+ steps|in time/;

describe("a check that a schema makes slow", () => {
  test.each<[string, Schema, Json, RegExp]>([
    ["4,000 alternatives", { anyOf: integers }, [...Array(10_000).fill(1), "x"], GIVEN_UP],
    ["4,000 allowed values", { items: { enum: lists } }, Array(20_000).fill([3_999]), GIVEN_UP],
    [
      "an unknown name of 4,000 characters among 4,000",
      { additionalProperties: false, properties: Object.fromEntries(names) },
      { ["x".repeat(4_000)]: 1 },
      /unknown parameter/,
    ],
  ])("%s: the check is answered and delays nobody else", async (_, schema, value, message) => {
    const work = checkedAtLast(schema, value);
    // A check in this process would leave no turn to other work. On a busy machine, even a check in a thread leaves few.
    expect(await turnsDuring(work)).toBeGreaterThan(0);
    const answer = await work;
    const text = answer instanceof Problem ? answer.detail : answer?.[0]?.message;
    expect(text).toMatch(message);
  });

  test("a pattern that would take years is stopped; its workspace must wait before the next check, others need not", async () => {
    const workspaceId = uuidv7(1);
    const first = await checked(evil, longest, workspaceId);
    expect(["invalid-parameters", "unavailable"]).toContain(first instanceof Problem && first.code);
    if (first instanceof Problem && first.code === "invalid-parameters") {
      const second = await checked(evil, { name: "a" }, workspaceId);
      expect(second).toMatchObject({ code: "unavailable", detail: expect.stringContaining("earlier check") });
    }
    expect(await checkedAtLast(evil, { name: "aaa" })).toEqual([]);
    const plain = { type: "object", properties: { name: { type: "string" } } };
    expect(await checked(plain, { name: "b" }, workspaceId)).toEqual([]);
  });
});

test("a transaction does not wait for a thread: it is repeated with the answer", async () => {
  let tries = 0;
  const answers = await inTransaction(deps, async (tx) => {
    tries += 1;
    const value = { name: "a" };
    const a = { tx, schema: evil, values: [value], texts: [JSON.stringify(value)] };
    return checkBounded(deps.database, { ...a, workspaceId: uuidv7(2), root: "parameters" });
  });
  // On a busy machine the thread may need longer than it has. The transaction is repeated with that answer too.
  const [answer] = answers;
  if (!isOfBusyMachine(answer)) expect(answer).toEqual([]);
  expect(tries).toBe(2);
});
