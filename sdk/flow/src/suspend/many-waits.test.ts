import { FlowRecord, LIMITS } from "@towpath/contract";
import { expect, test } from "vitest";
import { flow } from "../flow.ts";
import { testRun } from "../testing.ts";
import { suspend } from "./suspend.ts";

const WAITS = LIMITS.waits;

test.each([
  { keys: "short", key: (at: number) => `flight ${at}` },
  { keys: "long", key: (at: number) => `flight ${at} of ${"a".repeat(150)}` },
])(
  "a flow that waits for as much as a run may, by $keys keys, is suspended and goes on",
  async ({ key }) => {
    const landings = flow({ name: "landings" }, async () => {
      const all = Array.from({ length: WAITS }, (_, at) => suspend.event("landed", { key: key(at) }));
      return (await Promise.all(all)).length;
    });
    const run = await testRun(landings);
    expect(run).toMatchObject({ outcome: "suspended" });
    expect(run.waits).toHaveLength(WAITS);
    const outcome = run.records.findLast((record) => record.type === "outcome");
    const line = JSON.stringify({ seq: 1, ...outcome });
    // What a worker's gateway takes.
    expect(FlowRecord.safeParse(JSON.parse(line)).error).toBeUndefined();
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(LIMITS.recordBytes);
    expect(outcome).toMatchObject({ moreWaits: true });
    const answers = Object.fromEntries(Array.from({ length: WAITS }, (_, at) => [`landed ${key(at)}`, at]));
    expect(await run.resume({ answers })).toMatchObject({ outcome: "completed", result: WAITS });
  },
  60_000,
);

test("a suspension that fits into one record names all that it waits for", async () => {
  const two = flow({ name: "two" }, async () => {
    await Promise.all([suspend.event("landed"), suspend.event("parked")]);
  });
  const { records } = await testRun(two);
  const outcome = records.findLast((record) => record.type === "outcome");
  expect(outcome).toMatchObject({ waits: [expect.any(String), expect.any(String)] });
  expect(outcome).not.toHaveProperty("moreWaits");
});
