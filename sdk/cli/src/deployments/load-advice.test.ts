import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";

const run = promisify(execFile);
// Node itself loads the project, as it does for people; under the runner of tests it would not.
const LOAD = `
import { loadProject } from "${new URL("./load-project.ts", import.meta.url).href}";
const root = process.argv[1];
await loadProject(root, { folder: { root: root + "/.towpath" } }).catch(({ message, code, next }) =>
  console.log(JSON.stringify({ message, code, next })),
);`;

const CONFIG = `import { defineConfig, deployment, ociLayout } from "towpath/config";
import { a } from "./flows/a.FILE";
export default defineConfig({ project: "p", pool: "local", registry: ociLayout("r"), deployments: [deployment(a)] });
`;
const HEAD = 'import { flow } from "towpath";\n';
const FLOW = 'export const a = flow({ name: "a" }, async () => {});\n';

async function failureOf(files: Readonly<Record<string, string>>, ending = "ts") {
  await using project = await folderWith({
    "package.json": '{ "type": "module" }',
    "towpath.config.ts": CONFIG.replace("FILE", ending),
    ...files,
  });
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", LOAD, project.root]);
  return JSON.parse(stdout);
}

test.each([
  [
    "an import without a file extension",
    `import "./b";\n${HEAD}${FLOW}`,
    "add the file extension to the import in flows/a.ts: flows/b.ts",
  ],
  ["an import with the extension of a compiled file", `import "./b.js";\n${HEAD}${FLOW}`, "flows/b.ts"],
  [
    "a missing file",
    `import "./c.ts";\n${HEAD}${FLOW}`,
    "check the import in flows/a.ts: the file flows/c.ts does not exist",
  ],
  ["an enum", `enum X { A }\n${HEAD}${FLOW}`, "as const"],
  ["JSON without an attribute", `import d from "./d.json";\n${HEAD}${FLOW}void d;`, 'with { type: "json" }'],
  [
    "a name that is not exported",
    `import { nothing } from "./b.ts";\n${HEAD}${FLOW}nothing();`,
    "import type",
  ],
])("%s gets advice", async (_, text, next) => {
  const failure = await failureOf({
    "flows/a.ts": text,
    "flows/b.ts": "export const n = 1;",
    "flows/d.json": "{}",
  });
  expect(failure).toMatchObject({ code: "bad-config" });
  expect(failure).toHaveProperty("next", expect.arrayContaining([expect.stringContaining(next)]));
});

test("a missing package is named, for ES modules and CommonJS", async () => {
  for (const [ending, text] of [
    ["ts", `import "left-pad";\n${HEAD}${FLOW}`],
    ["cjs", 'require("left-pad");\nexports.a = 1;'],
  ] as const)
    expect(await failureOf({ [`flows/a.${ending}`]: text }, ending)).toMatchObject({
      message: expect.stringContaining('needs the package "left-pad"'),
    });
});

test("a flow in a module of CommonJS is refused when it is deployed, not when it runs", async () => {
  const sdk = fileURLToPath(import.meta.resolve("towpath"));
  const text = `const { flow } = require(${JSON.stringify(sdk)});\nexports.a = flow({ name: "a" }, async () => {});\n`;
  expect(await failureOf({ "flows/a.cjs": text }, "cjs")).toMatchObject({
    code: "flow-in-commonjs",
    message: "flows/a.cjs is CommonJS, but flows must be ES modules.",
  });
});
