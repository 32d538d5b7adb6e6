import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Entry } from "@towpath/contract";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { buildCode } from "./code.ts";
import type { Project } from "./project.ts";
import { reachOf } from "./reach.ts";

const flowOf = (name: string, more: string) => `
import { flow } from "towpath";
${more}
export const ${name} = flow({ name: "${name}" }, async () => label("${name}"));
`;
const FILES = {
  "towpath.config.ts": "export default {};",
  "flows/one.ts": flowOf("one", 'import { label } from "../lib/label.ts";'),
  "flows/two.ts": flowOf("two", "const label = (text: string) => text;"),
  "lib/label.ts": "export const label = (text: string) => text;",
  "sql/rows.sql": "select 1",
};
const environment = { PATH: process.env.PATH };
const flowEntry = (module: string): Entry => ({ kind: "flow", module, export: "x" });
type Name = "one" | "two" | "command";
const ENTRIES: Readonly<Record<Name, Entry>> = {
  one: flowEntry("flows/one.ts"),
  two: flowEntry("flows/two.ts"),
  command: { kind: "command", argv: ["python3", "run.py"] },
};

/** Which deployments reach other code after each change. */
async function changedBy(...changes: Readonly<Record<string, string | null>>[]): Promise<Name[][]> {
  await using folder = await folderWith(FILES);
  const settings = { deployment: "x", floor: 1, expiresAt: null, pools: ["local"], parameters: {} };
  const project: Project = {
    root: folder.root,
    name: "demo",
    files: undefined,
    stores: [],
    stageNames: [],
    environment: null,
    packages: null,
    configFile: "towpath.config.ts",
    python: [],
    stage: null,
    registry: { kind: "oci-layout", name: "local", path: `${folder.root}-registry` },
    deployments: Object.values(ENTRIES).map((entry) => ({ entry, settings })),
  };
  const reaches = async () => {
    const { sources } = await buildCode(project, environment);
    return Object.fromEntries(
      Object.entries(ENTRIES).map(([name, entry]) => [name, reachOf(entry, sources)]),
    );
  };
  let before = await reaches();
  const found: Name[][] = [];
  for (const change of changes) {
    for (const [path, text] of Object.entries(change)) {
      if (text === null) await rm(join(folder.root, path));
      else await writeFile(join(folder.root, path), text);
    }
    const after = await reaches();
    expect(Object.values(after)).not.toContain(null);
    found.push((Object.keys(ENTRIES) as Name[]).filter((name) => after[name] !== before[name]));
    before = after;
  }
  return found;
}

test("a module counts for the flows that load it, and other files for all", async () => {
  const changes = [
    { "flows/two.ts": `${FILES["flows/two.ts"]}\n// more` },
    { "lib/label.ts": "export const label = (text: string) => text + '!';" },
    { "towpath.config.ts": "export default { project: 'x' };" },
    { "sql/rows.sql": "select 2" },
    { "sql/more.sql": "select 3" },
    { "sql/more.sql": null },
    { "flows/one.ts": FILES["flows/one.ts"] },
  ];
  const all: Name[] = ["one", "two", "command"];
  expect(await changedBy(...changes)).toEqual([
    ["two", "command"],
    ["one", "command"],
    [],
    all,
    all,
    all,
    [],
  ]);
});

test.each([
  'const name = "label";\nconst { label } = await import("../lib/" + name + ".ts");',
  'import { createRequire } from "node:module";\nconst { label } = createRequire(import.meta.url)("../lib/label.ts");',
  'import { Worker } from "node:worker_threads";\nconst label = () => new Worker("./lib/label.ts");',
  'import { fork } from "node:child_process";\nconst label = () => fork("./lib/label.ts");',
])("a flow that loads code by a path counts every file: %s", async (more) => {
  const changes = [
    { "flows/two.ts": flowOf("two", more) },
    { "lib/label.ts": "export const label = () => '';" },
  ];
  expect(await changedBy(...changes)).toEqual([
    ["two", "command"],
    ["one", "two", "command"],
  ]);
});

test("a flow that only prints its folder or reads files does not count the modules of other flows", async () => {
  const more =
    'import { readFile } from "node:fs/promises";\nconst label = async () => [process.cwd(), await readFile("rows.csv")];';
  const changes = [
    { "flows/two.ts": flowOf("two", more) },
    { "lib/label.ts": "export const label = () => '';" },
  ];
  expect(await changedBy(...changes)).toEqual([
    ["two", "command"],
    ["one", "command"],
  ]);
});
