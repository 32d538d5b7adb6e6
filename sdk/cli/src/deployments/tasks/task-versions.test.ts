import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { folderWith } from "../../fixture.ts";
import { readOutlines } from "./outlines.ts";
import { taskVersions } from "./task-versions.ts";

const versionsOf = async (root: string, module: string) => taskVersions(await readOutlines(root, module));

/** A project of several modules with shared helpers, and packages it has installed. */
const PROJECT = {
  "flow.ts": `
    import { flow, task } from "towpath";
    import { z } from "zod";
    import { clean as cleaned, type Row } from "./lib/rows.ts";
    import { train } from "./train.ts";
    import settings from "./settings.json" with { type: "json" };

    const LIMIT = 10;
    const unused = 1;

    /** Loads rows. */
    export const load = task({ name: "load", retries: 2 }, async (url: string): Promise<Row[]> => {
      return cleaned([], LIMIT);
    });
    const report = task({ name: \`report\` }, async (rows: Row[]) => ({ rows: rows.length, title: settings.title }));
    export const other = load.with({ name: "other load", retries: 9 });

    export const body = flow({ name: "body", input: z.object({}) }, async () => {
      const rows = await load("x");
      await train(rows);
      return await report(rows);
    });
    await body.runIfMain(import.meta);
  `,
  "train.ts": `
    import { task } from "towpath";
    import * as maths from "./lib/maths.ts";
    import { fit } from "fitter";
    const one = task({ name: "fit one" }, async (n: number) => fit(maths.square(n)));
    export const train = task({ name: "train" }, async (rows: unknown[]) => await one(rows.length));
  `,
  "lib/rows.ts": `
    export interface Row { a: number }
    const twice = (n: number) => n * 2;
    export function clean(rows: Row[], limit: number): Row[] { return rows.slice(0, twice(limit)); }
    export function untouched() { return 1; }
  `,
  "lib/maths.ts": `
    let scale = 1;
    export const square = (n: number) => n * n * scale;
    export const cube = (n: number) => n * n * n;
  `,
  "settings.json": `{ "title": "Rows" }`,
  "node_modules/fitter/package.json": `{ "name": "fitter", "version": "1.2.3", "type": "module", "main": "index.js" }`,
  "node_modules/fitter/index.js": `export const fit = (n) => n;`,
  "node_modules/zod/package.json": `{ "name": "zod", "version": "4.0.0", "type": "module", "main": "index.js" }`,
  "node_modules/zod/index.js": `export const z = {};`,
};
type File = keyof typeof PROJECT;

/** The tasks whose version another text of some files changes. */
async function changedBy(changes: Partial<Record<File, (text: string) => string>>): Promise<string[]> {
  await using folder = await folderWith(PROJECT);
  const before = await versionsOf(folder.root, "flow.ts");
  for (const [file, change] of Object.entries(changes)) {
    const text = change(PROJECT[file as File]);
    expect(text).not.toBe(PROJECT[file as File]);
    await writeFile(join(folder.root, file), text);
  }
  const after = await versionsOf(folder.root, "flow.ts");
  return Object.keys(after).filter((name) => after[name] !== before[name]);
}

test("every task that a flow reaches has a version, and the same sources have the same versions in any folder", async () => {
  await using one = await folderWith(PROJECT);
  await using other = await folderWith(PROJECT);
  const versions = await versionsOf(one.root, "flow.ts");
  expect(Object.keys(versions)).toEqual(["fit one", "load", "other load", "report", "train"]);
  expect(versions).toEqual(await versionsOf(other.root, "flow.ts"));
  for (const version of Object.values(versions)) expect(version).toMatch(/^[0-9a-f]{16}$/);
});

describe("a task's version changes with", () => {
  test("its own function, and no neighbour's", async () => {
    expect(
      await changedBy({ "flow.ts": (text) => text.replace("rows: rows.length", "count: rows.length") }),
    ).toEqual(["report"]);
  });

  test("a variable or a helper that it reaches, through any number of modules", async () => {
    const load = ["load", "other load"];
    expect(await changedBy({ "flow.ts": (text) => text.replace("LIMIT = 10", "LIMIT = 11") })).toEqual(load);
    expect(await changedBy({ "lib/rows.ts": (text) => text.replace("n * 2", "n * 3") })).toEqual(load);
  });

  test("the tasks that it calls: its result is made of theirs", async () => {
    const both = ["fit one", "train"];
    expect(await changedBy({ "train.ts": (text) => text.replace("square(n)", "cube(n)") })).toEqual(both);
    expect(await changedBy({ "lib/maths.ts": (text) => text.replace("scale = 1", "scale = 2") })).toEqual(
      both,
    );
  });

  test("a module's statements about a variable that the task uses", async () => {
    const change = { "lib/maths.ts": (text: string) => `${text}\nif (process.env.FINE) scale = 3;` };
    expect(await changedBy(change)).toEqual(["fit one", "train"]);
  });

  test("a package's version, for those that use it, and data that is imported", async () => {
    const bump = { "node_modules/fitter/package.json": (text: string) => text.replace("1.2.3", "1.2.4") };
    expect(await changedBy(bump)).toEqual(["fit one", "train"]);
    expect(
      await changedBy({ "node_modules/zod/package.json": (text) => text.replace("4.0.0", "4.1.0") }),
    ).toEqual([]);
    expect(await changedBy({ "settings.json": (text) => text.replace("Rows", "Lines") })).toEqual(["report"]);
  });
});

describe("a task's version does not change with", () => {
  const cases: [string, Partial<Record<File, (text: string) => string>>][] = [
    [
      "comments and formatting",
      { "flow.ts": (text) => `// new\n${text.replaceAll("  ", " ").replace("Loads rows", "Fetches")}` },
    ],
    [
      "types",
      {
        "lib/rows.ts": (text) =>
          text.replace("a: number", "a: number; b?: string").replace(": Row[] {", ": Array<Row> {"),
      },
    ],
    ["a task's options", { "flow.ts": (text) => text.replace("retries: 2", "retries: 3, timeoutMs: 5") }],
    [
      "code that it does not use",
      {
        "lib/rows.ts": (text) => text.replace("return 1", "return 2"),
        "flow.ts": (text) => text.replace("unused = 1", "unused = 2"),
      },
    ],
    ["the flow's own function", { "flow.ts": (text) => text.replace('await load("x")', 'await load("y")') }],
  ];
  test.each(cases)("%s", async (_, changes) => {
    expect(await changedBy(changes)).toEqual([]);
  });
});

test("a name that a function declares for itself is not a use of the module's name", async () => {
  const code = (text: string) => `import { task } from "towpath";
    import { limit, rows as table } from "./rows.ts";
    let count = 1; const label = "${text}"; var total = 0; const own = "${text}";
    { var hidden = "${text}"; }
    export const sum = task({ name: "sum" }, async (count: number[], { limit } = { limit: 1 }) => {
      label: for (const table of count) { if (table > limit) break label; }
      const inner = (own: number) => own;
      return inner(total);
    });
    export const shows = task({ name: "shows" }, async () => hidden);`;
  await using folder = await folderWith({
    "rows.ts": "export const limit = 1; export const rows = 2;",
    "flow.ts": code("a"),
  });
  const before = await versionsOf(folder.root, "flow.ts");
  await writeFile(join(folder.root, "flow.ts"), code("b").replace("count = 1", "count = 2"));
  await writeFile(join(folder.root, "rows.ts"), "export const limit = 3; export const rows = 4;");
  const after = await versionsOf(folder.root, "flow.ts");
  expect(after.sum).toBe(before.sum);
  expect(after.shows).not.toBe(before.shows);
});

test("linked code outside node_modules counts as the project's own, with any version in its manifest", async () => {
  await using beside = await folderWith({
    "package.json": `{ "name": "shared", "version": "0.0.0", "type": "module", "main": "index.ts" }`,
    "index.ts": `export const rate = 1;`,
  });
  await using folder = await folderWith({
    "flow.ts": `import { task } from "towpath"; import { rate } from "shared";
      export const rated = task({ name: "rated" }, async () => rate);`,
  });
  const link = join(folder.root, "node_modules/shared");
  await mkdir(dirname(link), { recursive: true });
  await symlink(beside.root, link);
  const before = await versionsOf(folder.root, "flow.ts");
  await writeFile(join(beside.root, "index.ts"), `export const rate = 2;`);
  expect((await versionsOf(folder.root, "flow.ts")).rated).not.toBe(before.rated);
});

test("an explicit version is used as it is", async () => {
  await using folder = await folderWith({
    "flow.ts": `import { task } from "towpath"; export const a = task({ name: "a", version: "7" }, async () => 1);`,
  });
  expect(await versionsOf(folder.root, "flow.ts")).toEqual({ a: "7" });
});

test("tasks of one name share a version, and a task with a computed name has none", async () => {
  await using folder = await folderWith({
    "flow.ts": `import * as towpath from "towpath";
      export const make = (name: string) => towpath.task({ name }, async () => 1);
      export const a = towpath.task({ name: "same" }, async () => 1);
      export const b = towpath.task({ name: "same" }, async () => 2);`,
  });
  const before = await versionsOf(folder.root, "flow.ts");
  expect(Object.keys(before)).toEqual(["same"]);
});

const ROOT = fileURLToPath(new URL("../../../../../", import.meta.url));

describe("in the examples, whose tasks share modules", () => {
  const cases: [string, string, (text: string) => string, string[]][] = [
    ["penguins/summarise.ts", "penguins", (text) => `${text}\n// nothing new`, []],
    ["penguins/summarise.ts", "penguins", (text) => text.replaceAll(" / ", " * "), ["summarise"]],
    ["flights/leakage.ts", "flights", (text) => text.replaceAll(" < ", " <= "), ["evaluate"]],
  ];
  test.each(cases)("a change of %s", async (file, flow, change, expected) => {
    await using folder = await folderWith();
    await cp(join(ROOT, "sdk/examples/src"), join(folder.root, "src"), { recursive: true });
    await symlink(join(ROOT, "node_modules"), join(folder.root, "node_modules"));
    const before = await versionsOf(folder.root, `src/${flow}/flow.ts`);
    const path = join(folder.root, "src", file);
    const text = await readFile(path, "utf8");
    expect(change(text)).not.toBe(text);
    await writeFile(path, change(text));
    const after = await versionsOf(folder.root, `src/${flow}/flow.ts`);
    expect(Object.keys(after).filter((name) => after[name] !== before[name])).toEqual(expected);
  });
});
