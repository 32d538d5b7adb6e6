import { searchable } from "@towpath/contract";
import fc from "fast-check";
import pLimit from "p-limit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { getLogs } from "./index.ts";
import { type LogPiece, runWithLogs } from "./log.fixture.ts";
import { type SearchRequest, searchLogs } from "./search.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv, { retry: { limit: 3, delayMs: 0, causes: ["error"] } });
});
afterAll(() => testEnv.close());

const signal = new AbortController().signal;

function search(args: Pick<SearchRequest, "runId" | "text"> & Partial<SearchRequest>) {
  return searchLogs(testEnv.deps, tenancy.scope, { from: "0:0", signal, slices: pLimit(2), ...args });
}

const infos = (...texts: string[]): LogPiece => texts.map((text) => ["info", text]);

/** Every line that has the text, from the route that filters the whole log. */
async function read(args: { runId: string; text: string }): Promise<string[]> {
  const found: string[] = [];
  let after = "0:0";
  for (;;) {
    const page = await getLogs(testEnv.deps, tenancy.scope, { ...args, after, limit: 3 });
    found.push(...page.entries.map((entry) => `${entry.attempt}:${entry.line}`));
    if (page.next === after) return found;
    after = page.next;
  }
}

test("a search finds every line that has the text, for any lines and any text", async () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
    fc.constantFrom("%", "_", "\\", "'", '"', "{", "a", "A", "ß", "İ", "\u001b[31m", "\ud800", "e\u0301"),
  );
  const lines = fc.array(fc.array(text, { maxLength: 4 }), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(lines, { minLength: 1, maxLength: 4 }), text, async (pieces, wanted) => {
      const texts = pieces.map((piece) => piece.map((line) => line.join("")));
      const runId = await runWithLogs({ testEnv, tenancy }, [texts.map((piece) => infos(...piece))]);
      const needle = searchable(wanted);
      const expected = texts
        .flat()
        .flatMap((line, at) => (searchable(line).includes(needle) ? [`1:${at}`] : []));
      const found = await search({ runId, text: wanted });
      expect(found).toMatchObject({ lines: expected.length, first: 0, finds: expected, whole: true });
      expect(await read({ runId, text: wanted })).toEqual(expected);
    }),
    { numRuns: 25 },
  );
});

describe("a search", () => {
  test("compares shown text: it ignores case and escape sequences, and takes patterns literally", async () => {
    const runId = await runWithLogs({ testEnv, tenancy }, [
      [infos("\u001b[31mFail\u001b[0mure", "100% .*", "a\\b", "under_score", "two\nlines")],
    ]);
    for (const [text, line] of [
      ["FAILURE", "1:0"],
      ["% .*", "1:1"],
      ["a\\B", "1:2"],
      ["r_s", "1:3"],
      ["o l", "1:4"],
    ] as const)
      expect(await search({ runId, text })).toMatchObject({ lines: 1, finds: [line] });
    expect(await search({ runId, text: "[31m" })).toMatchObject({ lines: 0, finds: [] });
  });

  test("can be filtered by attempt and levels, and finds nothing in gaps", async () => {
    const first: LogPiece[] = [
      [
        ["info", "too fast"],
        ["error", "too fast"],
      ],
      7,
    ];
    const runId = await runWithLogs({ testEnv, tenancy }, [first, [infos("too fast")]]);
    expect((await search({ runId, text: "too" })).finds).toEqual(["1:0", "1:1", "2:0"]);
    expect((await search({ runId, text: "too", attempt: 1 })).finds).toEqual(["1:0", "1:1"]);
    expect((await search({ runId, text: "too", levels: ["error"] })).finds).toEqual(["1:1"]);
  });

  test("lists the finds around a line, numbered among all finds", async () => {
    const pieces = Array.from({ length: 60 }, (_, piece) =>
      infos(...Array.from({ length: 50 }, (_, at) => (at % 2 === 0 ? `even ${piece}` : "odd"))),
    );
    const runId = await runWithLogs({ testEnv, tenancy }, [pieces]);
    const found = await search({ runId, text: "even", from: "1:1501" });
    expect(found).toMatchObject({ lines: 1_500, at: 751 });
    expect(found.finds).toHaveLength(1_000);
    expect(found.finds[found.at - found.first]).toBe("1:1502");
    expect(found.finds[0]).toBe(`1:${found.first * 2}`);
    const last = await search({ runId, text: "even", from: "1:2999" });
    expect(last).toMatchObject({ at: 1_500, lines: 1_500 });
    expect(last.finds.at(-1)).toBe("1:2998");
  });

  test("reports how much it searched when its time is up, and ends when its caller has gone", async () => {
    const runId = await runWithLogs({ testEnv, tenancy }, [[infos("here")]]);
    expect(await search({ runId, text: "here", timeMs: 0 })).toMatchObject({
      lines: 0,
      searched: 0,
      whole: false,
    });
    const gone = AbortSignal.abort();
    expect(await search({ runId, text: "here", signal: gone })).toMatchObject({ searched: 0, whole: false });
  });

  test("in another workspace's run is refused like one in a run that does not exist", async () => {
    const runId = await runWithLogs({ testEnv, tenancy }, [[infos("mine")]]);
    const other = await openTenancy(testEnv);
    const asked = { runId, text: "mine", from: "0:0", signal, slices: pLimit(2) };
    await expect(searchLogs(testEnv.deps, other.scope, asked)).rejects.toMatchObject({
      code: "run-not-found",
    });
  });
});
