import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { ctx } from "../engine/context.ts";
import { flow } from "../flow.ts";
import { NotSerialisable, StoreFault } from "../problem.ts";
import { task } from "../task/task.ts";
import { testRun } from "../testing.ts";
import { memoryObjects, memoryStore } from "./memory-store.ts";
import { storeOver } from "./store.ts";

interface Table {
  readonly numRows: number;
  readonly numCols: number;
  toArray(): readonly unknown[];
  slice(from: number, to: number): Table;
  concat(other: Table): Table;
  select(names: readonly string[]): Table;
}

interface Arrow {
  readonly Table: new () => Table;
  tableFromArrays(columns: object): Table;
  tableFromJSON(rows: readonly object[]): Table;
  tableToIPC(table: Table): Uint8Array;
}

const PACKAGE: string = "apache-arrow";
const arrow: Arrow = await import(PACKAGE);
const place = { runId: "r1", attempt: 1, task: "load:aa", name: "rows" };

const rows = Array.from({ length: 500 }, (_, n) => ({
  id: n % 3 === 0 ? n : null,
  name: n % 5 === 0 ? null : `customer ${n % 7}`,
  paidAt: new Date(n * 1e6),
  isNew: n % 2 === 0,
  amounts: [n, n / 7],
}));
const whole = arrow.tableFromJSON(rows);
const TABLES: readonly (readonly [string, Table])[] = [
  [
    "columns of numbers and texts",
    arrow.tableFromArrays({ id: Int32Array.of(1, 2, 3), name: ["a", "b", "b"] }),
  ],
  ["rows with nulls, dates and lists", whole],
  ["a part", whole.slice(7, 301)],
  ["several batches", whole.slice(3, 9).concat(whole)],
  ["some columns", whole.select(["name", "id"])],
  ["no rows", arrow.tableFromArrays({ id: [] })],
];

describe("an Arrow table", () => {
  for (const [what, table] of TABLES)
    test(`is stored and loaded as a table, and later attempts recognise it: ${what}`, async () => {
      const did: string[] = [];
      const load = task({ name: "load" }, async () => {
        did.push("load");
        return table;
      });
      const count = task({ name: "count" }, async (given: Table) => {
        did.push("count");
        return given.numRows;
      });
      let broken = true;
      const body = flow({ name: "body" }, async () => {
        const loaded = await load();
        const counted = await count(loaded);
        if (broken) throw new Error("half way");
        return { isTable: loaded instanceof arrow.Table, rows: loaded.toArray().map(String), counted };
      });
      const first = await testRun(body);
      broken = false;
      const second = await first.resume();
      const expected = { isTable: true, rows: table.toArray().map(String), counted: table.numRows };
      expect(second.result).toEqual(expected);
      expect((await second.rerun()).result).toEqual(expected);
      expect(did).toEqual(["load", "count"]);
    });

  test("counts as an argument by its content", async () => {
    let calls = 0;
    const count = task({ name: "count", cache: { by: "input" } }, async (_table: Table) => ++calls);
    const body = flow({ name: "body" }, async () => [
      await count(arrow.tableFromJSON(rows)),
      await count(arrow.tableFromJSON(rows)),
      await count(whole.slice(0, 499)),
      await count(whole.select(["id", "name"])),
    ]);
    const store = memoryStore();
    expect((await testRun(body, {}, { store })).result).toEqual([1, 1, 2, 3]);
  });

  test("may be part of a value, and is what ctx.save stores by default", async () => {
    const both = task({ name: "both" }, async () => ({
      train: whole,
      sizes: new Map([["test", whole.slice(0, 9)]]),
    }));
    const body = flow({ name: "body" }, async () => {
      const { train, sizes } = await both();
      const ref = await ctx.save("rows", whole);
      const loaded = (await ctx.load(ref)) as Table;
      return [train.numRows, sizes.get("test")?.numRows, ref.codec, loaded instanceof arrow.Table];
    });
    const first = await testRun(body);
    const again = await first.rerun();
    expect(again.result).toEqual([500, 9, "typed", true]);
    expect(again.records).toContainEqual(expect.objectContaining({ name: "both", move: "reuse" }));
  });

  test("that the package cannot write is refused, and its task goes on", async () => {
    const odd = arrow.tableFromArrays({ id: [1] });
    Object.assign(odd, { batches: [{}] });
    const load = task({ name: "load" }, async () => odd);
    const run = await testRun(flow({ name: "body" }, async () => (await load()) === odd));
    expect(run.result).toBe(true);
    expect(run.logs.map(({ text }) => text)).toEqual([
      expect.stringContaining("result is an Arrow table with columns that apache-arrow cannot write"),
    ]);
  });

  test("of something else with the same fields is refused", async () => {
    class Fake {
      schema = null;
      batches = [];
      numRows = 0;
      numCols = 0;
    }
    const save = memoryStore().save(place, { fake: new Fake() }, "exact");
    await expect(save).rejects.toThrow(NotSerialisable);
    await expect(save).rejects.toThrow("fake is an instance of Fake");
  });
});

/** A store with one value: text and bytes of typed JSON, under their right hash. */
async function holding(text: string, bytes: Uint8Array) {
  const objects = memoryObjects();
  const content = Buffer.concat([Buffer.from(text), new Uint8Array(1), bytes]);
  const sha256 = createHash("sha256").update(content).digest("hex");
  const uri = await objects.write("runs/r1/value.typed", content);
  return storeOver(objects).load({ uri, codec: "typed", sizeBytes: content.byteLength, sha256 });
}

describe("stored bytes of a table", () => {
  const ipc = arrow.tableToIPC(whole);
  const told = (bytes: Uint8Array, count: unknown) => `{"~":["arrow",0,${bytes.byteLength},${count}]}`;
  const DAMAGED: readonly (readonly [string, Uint8Array, unknown])[] = [
    ["no bytes", new Uint8Array(0), 500],
    ["other bytes", Uint8Array.of(1, 2, 3), 500],
    ["text", new TextEncoder().encode("x".repeat(2_000)), 500],
    ["the first half", ipc.slice(0, ipc.byteLength / 2), 500],
    ["another number of rows", ipc, 499],
    ["no number of rows", ipc, null],
  ];
  for (const [what, bytes, count] of DAMAGED)
    test(`are refused if they are ${what}`, async () => {
      await expect(holding(told(bytes, count), bytes)).rejects.toThrow(StoreFault);
    });

  test("are refused if they are not there", async () => {
    await expect(holding('{"~":["arrow",0,10,0]}', new Uint8Array(5))).rejects.toThrow("does not hold typed");
  });

  test("need the package: without it the next step is named, and a task runs again", async () => {
    const load = task({ name: "load" }, async () => whole);
    const body = flow({ name: "body" }, async () => (await load()).numRows);
    const first = await testRun(body);
    Reflect.set(globalThis, "__towpathBundled", true);
    try {
      await expect(holding(told(ipc, 500), ipc)).rejects.toMatchObject({
        code: "store-fault",
        message: expect.stringContaining('the flow does not load the package "apache-arrow".'),
        next: expect.stringContaining("npm install apache-arrow"),
      });
      const second = await first.rerun();
      expect(second.result).toBe(500);
      expect(second.tasks).toMatchObject([{ name: "load", state: "completed" }]);
      expect(second.logs.map(({ text }) => text)).toContainEqual(
        expect.stringMatching(/cannot be loaded, so the task runs again: .* "apache-arrow"/),
      );
    } finally {
      Reflect.deleteProperty(globalThis, "__towpathBundled");
    }
  });
});

test("the package is loaded only for a value that looks like a table", async () => {
  const script = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    const { encodeAs, decode } = await import(${JSON.stringify(new URL("./codec.ts", import.meta.url).href)});
    const isLoaded = () => loaded.some((url) => url.includes("apache-arrow"));
    const values = [{ at: new Date(0), rows: [1, 2], schema: 1, batches: [] }, new Map(), "text", new Uint8Array(3)];
    for (const value of values) decode(encodeAs(value, { codec: "exact", name: "value" }).bytes, { codec: "bytes", uri: "" });
    try { encodeAs(new (class Model {})(), { codec: "exact", name: "value" }); } catch {}
    console.log(isLoaded());
    try { encodeAs(new (class { schema; batches; numCols; numRows; })(), { codec: "exact", name: "value" }); } catch {}
    console.log(isLoaded());`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
  expect(stdout).toBe("false\ntrue\n");
});
