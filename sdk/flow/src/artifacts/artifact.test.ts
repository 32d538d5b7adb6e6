import { describe, expect, test } from "vitest";
import { ArtifactRefused, artifact, ctx, flow } from "../index.ts";
import { testRun } from "../testing.ts";

async function shown(show: () => Promise<unknown>) {
  return await testRun(flow({ name: "f" }, async () => void (await show())));
}

describe("a table", () => {
  test("takes rows of cells or of fields, and shows what is no JSON as text", async () => {
    const run = await shown(async () => {
      await artifact.table({
        key: "a",
        columns: ["x", "y"],
        rows: [
          [1, Number.POSITIVE_INFINITY],
          [undefined, null],
        ],
      });
      await artifact.table({ key: "b", rows: [{ x: 1, y: "z" }, { y: "w" }] });
    });
    expect(run.artifacts.get("a")?.body).toEqual({
      kind: "table",
      columns: ["x", "y"],
      rows: [
        [1, "Infinity"],
        [null, null],
      ],
    });
    expect(run.artifacts.get("b")?.body).toMatchObject({
      columns: ["x", "y"],
      rows: [
        [1, "z"],
        [null, "w"],
      ],
    });
  });

  const faults: [string, Parameters<typeof artifact.table>[0], RegExp][] = [
    [
      "more rows than a worker stores",
      { key: "k", columns: ["x"], rows: Array(10_001).fill([1]) },
      /10001 rows/,
    ],
    ["a row of another length", { key: "k", columns: ["x"], rows: [[1, 2]] }, /row 1 has 2 cells/],
    ["no columns", { key: "k", rows: [[1]] }, /no columns/],
    ["too many bytes", { key: "k", columns: ["x"], rows: [["x".repeat(1_000_000)]] }, /the limit is 1000000/],
    ["no key", { key: "", columns: ["x"], rows: [] }, /needs a key/],
  ];
  for (const [what, table, message] of faults)
    test(`with ${what} is refused`, async () => {
      const run = await shown(() => artifact.table(table));
      expect(run.error).toBeInstanceOf(ArtifactRefused);
      expect(String(run.error)).toMatch(message);
    });
});

test("a link leads to http or https and nowhere else", async () => {
  expect((await shown(() => artifact.link({ key: "l", url: "https://a.example" }))).outcome).toBe(
    "completed",
  );
  for (const url of ["javascript:alert(1)", "file:///etc/passwd", "nowhere"])
    expect((await shown(() => artifact.link({ key: "l", url }))).error).toBeInstanceOf(ArtifactRefused);
});

describe("progress", () => {
  test("ends at the last figure given, however fast they come", async () => {
    const run = await shown(async () => {
      const bar = artifact.progress({ key: "p", total: 1000, unit: "rows" });
      for (let done = 1; done <= 1000; done++) void bar.update(done);
      await bar.advance(0);
    });
    expect(run.artifacts.get("p")?.body).toEqual({ kind: "progress", done: 1000, total: 1000, unit: "rows" });
    expect(run.records.length).toBeLessThan(1000);
  });

  test("that is awaited lets a loop be cancelled", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    const counts = flow({ name: "f" }, async () => {
      const bar = artifact.progress({ key: "p" });
      for (;;) await bar.advance();
    });
    expect((await testRun(counts, {}, { signal: controller.signal })).outcome).toBe("cancelled");
  });
});

test("an artifact belongs to the latest body under its key and to the run", async () => {
  const run = await shown(async () => {
    await artifact.markdown({ key: "m", text: "one" });
    await artifact.markdown({ key: "m", title: ctx.deployment, text: "two" });
  });
  expect(run.artifacts.get("m")).toMatchObject({ title: "f", task: null, body: { text: "two" } });
});

test("what is called for without its text or bytes, which no type check has seen, is named", async () => {
  const untyped = { key: "summary", body: "# Done" } as never;
  const { error } = await shown(() => artifact.markdown(untyped));
  expect(error).toMatchObject({ name: "ArtifactRefused", message: expect.stringContaining("`text`") });
  expect((await shown(() => artifact.image(untyped))).error).toBeInstanceOf(ArtifactRefused);
});
