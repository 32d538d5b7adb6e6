import type { Reported } from "@towpath/contract";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { getLogs } from "../../logs/index.ts";
import { createRun, getRun, listTaskRuns } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { bisect, type Lanes } from "./bisect.ts";
import { report } from "./report.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
  // The database refuses values that our own checks accept, as after a mistake in these checks.
  await testEnv.deps.database.db.execute(sql`
    create function refuse() returns trigger language plpgsql as $$ begin
      if to_jsonb(new)::text like '%unforeseen%' then raise exception 'no' using errcode = '22000'; end if;
      return new; end $$`);
  for (const table of ["log_chunk", "task_run", "run"]) {
    await testEnv.deps.database.db.execute(
      sql`create trigger refuse before insert or update on ${sql.identifier(table)}
        for each row execute function refuse()`,
    );
  }
});
afterAll(() => testEnv.close());

async function running() {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return { fakeWorker, given, id };
}

describe("records that the database refuses are rejected alone", () => {
  test("lines become a gap, and the other lines are stored", async () => {
    const { fakeWorker, given, id } = await running();
    const bulk = [records.log(0, ["a"]), records.log(1, ["unforeseen", "x"]), records.log(3, ["b"])];
    const answer = await fakeWorker.report(given, [], { bulk });
    expect(answer).toMatchObject({ status: "accepted", bulkAcked: 3, rejected: [{ lane: "bulk", seq: 2 }] });
    const { entries } = await getLogs(testEnv.deps, tenancy.scope, { runId: id, after: "0:0", limit: 10 });
    expect(entries).toMatchObject([
      { kind: "line", text: "a", line: 0 },
      { kind: "gap", line: 1, count: 2 },
      { kind: "line", text: "b", line: 3 },
    ]);
  });

  test("a task is rejected alone, and the run still ends", async () => {
    const { fakeWorker, given, id } = await running();
    const control = [
      records.task("unforeseen", "begin"),
      records.task("t", "begin"),
      records.ended("completed"),
    ];
    const answer = await fakeWorker.report(given, control, { from: 2 });
    expect(answer).toMatchObject({
      controlAcked: 4,
      outcome: { state: "completed" },
      rejected: [{ seq: 2 }],
    });
    const { items } = await listTaskRuns(testEnv.deps, tenancy.scope, { runId: id, limit: 10 });
    expect(items.map((one) => one.path)).toEqual(["t"]);
  });

  test("an end keeps its outcome without the values of the flow", async () => {
    const { fakeWorker, given, id } = await running();
    const error = { name: "Error", message: "unforeseen" };
    const answer = await fakeWorker.report(given, [records.ended("failed", { cause: "error", error })], {
      from: 2,
    });
    expect(answer).toMatchObject({ controlAcked: 2, outcome: { state: "failed", cause: "error" } });
    expect(await getRun(testEnv.deps, tenancy.scope, { runId: id })).toMatchObject({
      state: "failed",
      error: null,
    });
  });

  test("other attempts of the same report are not blocked", async () => {
    const [one, two] = [await running(), await running()];
    const part = (given: typeof one.given, text: string) => ({
      ...given,
      control: [],
      bulk: [{ seq: 1, ...records.log(0, [text]) }],
    });
    const attempts = [part(one.given, "unforeseen"), part(two.given, "fine")];
    // One worker has claimed both attempts, as their fences require.
    const first = await report(testEnv.deps, one.fakeWorker.worker, { attempts: attempts.slice(0, 1) });
    const second = await report(testEnv.deps, two.fakeWorker.worker, { attempts });
    expect(first.attempts).toMatchObject([{ bulkAcked: 1, rejected: [{ seq: 1 }] }]);
    expect(second.attempts).toMatchObject([{ status: "stale" }, { status: "accepted", bulkAcked: 1 }]);
  });
});

test("the records that are not refused are stored once and in order, in a bounded number of steps", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 6 }), async (bad) => {
      const stored: number[] = [];
      let calls = 0;
      const store = async ({ bulk }: Lanes): Promise<Reported> => {
        calls += 1;
        const refused = bulk.filter((one) => one.type === "log" && bad.includes(one.seq));
        if (refused.length > 0) throw new RangeError("refused");
        stored.push(...bulk.map((one) => one.seq));
        const acked = { controlAcked: 0, bulkAcked: stored.length, rejected: [], outcome: null };
        return { attempts: [{ attemptId: "x", status: "accepted", ...acked }], commands: [] };
      };
      const bulk = Array.from({ length: 40 }, (_, index) => ({ seq: index + 1, type: "log" }));
      await bisect({ control: [], bulk }, { store });
      expect(stored).toEqual(bulk.slice(0, stored.length).map((one) => one.seq));
      expect(calls).toBeLessThanOrEqual(64);
      if (bad.length <= 4) expect(stored).toHaveLength(40);
    }),
  );
});
