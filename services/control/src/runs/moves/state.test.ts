import {
  ATTEMPT_STATES,
  ATTEMPT_TRANSITIONS,
  type AttemptTransition,
  CAUSE_NAMES,
  FINAL_ATTEMPT_STATES,
  FINAL_RUN_STATES,
  FINAL_TASK_RUN_STATES,
  RUN_STATES,
  RUN_TRANSITIONS,
  type RunState,
  type RunTransition,
  TASK_RUN_STATES,
  TASK_RUN_TRANSITIONS,
  type TaskRunTransition,
  type Transition,
  uuidv7,
} from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { inTransaction } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { createRun } from "../requests/requests.ts";
import { moveAttempt, moveRun } from "./apply.ts";
import { taskRunAfter } from "./state.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
});
afterAll(() => testEnv.close());

const MOVES = Object.entries(RUN_TRANSITIONS) as [RunTransition, Transition<RunState>][];

/** A run and its attempt, in states that no verb would leave them in together. */
async function placed(run: string, attempt: string): Promise<{ runId: string; attemptId: string }> {
  const request = tenancy.request();
  const created = await createRun(testEnv.deps, tenancy.scope, request);
  const attemptId = created.attemptList[0]?.id ?? "";
  const ended = FINAL_RUN_STATES.some((state) => state === run);
  const cause = ended && run !== "completed" ? "error" : null;
  const { db } = testEnv.deps.database;
  await db.execute(sql`update run set state = ${run}, cause = ${cause}, cancel_requested_at = now(),
    ended_at = case when ${ended} then now() end where id = ${request.id}`);
  const over = FINAL_ATTEMPT_STATES.some((state) => state === attempt);
  const held = !over && attempt !== "ready";
  await db.execute(sql`update attempt set state = ${attempt}, epoch = 1, nonce = 'n', worker_id = ${uuidv7(0)},
    lease_expires_at = case when ${held} then now() end, ended_at = case when ${over} then now() end
    where id = ${attemptId}`);
  return { runId: request.id, attemptId };
}

describe("a run makes exactly the moves of the table", () => {
  test.each(RUN_STATES)("from %s", async (state) => {
    let { runId } = await placed(state, "ready");
    for (const [by, move] of MOVES) {
      for (const to of RUN_STATES) {
        const ended = FINAL_RUN_STATES.includes(to);
        const cause = ended && to !== "completed" ? ("error" as const) : null;
        const { workspaceId } = tenancy.scope;
        const moved = inTransaction(testEnv.deps, (tx) =>
          moveRun(tx, testEnv.deps.clock, { workspaceId, id: runId, by, to, cause }),
        );
        if (move.from.includes(state) && move.to.includes(to)) {
          await expect(moved).resolves.toMatchObject({ state: to });
          ({ runId } = await placed(state, "ready"));
        } else {
          await expect(moved).rejects.toMatchObject({ code: "run-transition-not-allowed" });
        }
      }
    }
  });
});

describe("an attempt makes exactly the moves of the table", () => {
  test.each(ATTEMPT_STATES)("from %s", async (state) => {
    for (const [name, row] of Object.entries(ATTEMPT_TRANSITIONS)) {
      const by = name as AttemptTransition;
      const move: Transition<string> = row;
      const { attemptId } = await placed("ready", state);
      const to = move.to[0] ?? "";
      const moved = inTransaction(testEnv.deps, (tx) =>
        moveAttempt(tx, testEnv.deps.clock, {
          workspaceId: tenancy.scope.workspaceId,
          id: attemptId,
          by,
          ...(to === "claimed" && { leaseMs: 1_000 }),
        }),
      );
      if (move.from.includes(state)) await expect(moved).resolves.toMatchObject({ state: to });
      else await expect(moved).rejects.toMatchObject({ code: "run-transition-not-allowed" });
    }
  });
});

test("a task run makes exactly the moves of the table", () => {
  for (const state of TASK_RUN_STATES) {
    for (const [name, row] of Object.entries(TASK_RUN_TRANSITIONS)) {
      const move: Transition<string> = row;
      const expected = move.from.includes(state) ? move.to[0] : null;
      expect(taskRunAfter(state, name as TaskRunTransition)).toBe(expected);
    }
  }
});

test("a run of another workspace is not moved", async () => {
  const other = await openTenancy(testEnv);
  const { runId } = await placed("ready", "ready");
  const moved = inTransaction(testEnv.deps, (tx) =>
    moveRun(tx, testEnv.deps.clock, { workspaceId: other.scope.workspaceId, id: runId, by: "claim" }),
  );
  await expect(moved).rejects.toMatchObject({ code: "run-transition-not-allowed" });
});

describe("what the database checks is what the contract lists", () => {
  async function listed(table: string, column: string): Promise<string[][]> {
    const found = await testEnv.deps.database.db.execute<{ source: string }>(sql`
      select pg_get_constraintdef(oid) as source from pg_constraint
      where conrelid = ${table}::regclass and contype = 'c' and pg_get_constraintdef(oid) like ${`%(${column} = ANY%`}`);
    return found.map(({ source }) =>
      [...source.matchAll(/'([a-z-]+)'::text/g)].map((one) => one[1] ?? "").sort(),
    );
  }
  const tables = [
    ["run", RUN_STATES, FINAL_RUN_STATES],
    ["attempt", ATTEMPT_STATES, FINAL_ATTEMPT_STATES],
    ["task_run", TASK_RUN_STATES, FINAL_TASK_RUN_STATES],
  ] as const;
  test.each(tables)("states of %s, in live tables and history", async (table, states, finals) => {
    for (const name of [table, `${table}_history`]) {
      const lists = await listed(name, "state");
      expect(lists).toContainEqual([...states].sort());
      expect(lists).toContainEqual([...finals].sort());
    }
  });
  test.each(["run", "attempt"])("causes of %s", async (table) => {
    expect(await listed(table, "cause")).toContainEqual([...CAUSE_NAMES].sort());
  });
});
