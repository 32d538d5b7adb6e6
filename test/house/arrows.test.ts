import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import configuration, { RUNS_FOLDERS, SLICES } from "../../.dependency-cruiser.mjs";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");
const CONTROL = "services/control/src";

const Answer = z.object({
  modules: z.number(),
  unread: z.array(z.string()),
  violations: z.array(z.object({ rule: z.string(), from: z.string(), to: z.string() })),
});
const Manifest = z.object({ name: z.string(), exports: z.record(z.string(), z.string()).optional() });

/** One planted file: its text must break exactly the rule, from exactly this file. */
interface Plant {
  rule: string;
  file: string;
  text: string;
}

const load = (specifier: string) => `import ${JSON.stringify(specifier)};\n`;

const ROOM_PLANTS: Plant[] = [
  { rule: "room-contract", file: "sdk/contract/src/plant.ts", text: load("@towpath/client") },
  { rule: "room-client", file: "sdk/client/src/plant.ts", text: load("towpath") },
  { rule: "room-flow", file: "sdk/flow/src/plant.ts", text: load("@towpath/worker") },
  { rule: "room-cli", file: "sdk/cli/src/plant.ts", text: load("@towpath/control") },
  { rule: "room-examples", file: "sdk/examples/src/plant.ts", text: load("@towpath/client") },
  { rule: "room-control", file: `${CONTROL}/plant.ts`, text: load("@towpath/client") },
  { rule: "room-dashboard", file: "services/dashboard/src/plant.ts", text: load("@towpath/control") },
  { rule: "room-worker", file: "worker/src/plant.ts", text: load("towpath") },
].flatMap((plant) => [
  plant,
  { ...plant, rule: `${plant.rule}-tests`, file: plant.file.replace(".ts", ".test.ts") },
]);

const DOOR_PLANTS: Plant[] = [
  { rule: "door-contract", file: "worker/src/deep.ts", text: load("../../sdk/contract/src/inner.ts") },
  { rule: "door-client", file: "sdk/cli/src/deep.ts", text: load("../../client/src/inner.ts") },
  { rule: "door-flow", file: "sdk/examples/src/deep.ts", text: load("../../flow/src/inner.ts") },
];

const SLICE_PLANTS: Plant[] = SLICES.slice(0, -1).map((slice, index) => ({
  rule: `slice-${slice}`,
  file: `${CONTROL}/${slice}/plant.ts`,
  text: `import type {} from "../${SLICES[index + 1]}/index.ts";\n`,
}));

/** Each folder of runs imports the one after it; the last, a file that assembles the slice. */
const RUNS_PLANTS: Plant[] = RUNS_FOLDERS.map((folder, index) => {
  const after = RUNS_FOLDERS[index + 1];
  return {
    rule: `runs-${folder}`,
    file: `${CONTROL}/runs/${folder}/plant.ts`,
    text: `import type {} from "${after === undefined ? "../inner.ts" : `../${after}/inner.ts`}";\n`,
  };
});

const OTHER_PLANTS: Plant[] = [
  { rule: "runs-first", file: `${CONTROL}/runs/needs.ts`, text: load("./moves/inner.ts") },
  { rule: "slice-door", file: `${CONTROL}/runs/deep.ts`, text: load("../pools/inner.ts") },
  { rule: "slice-door-from-the-process", file: `${CONTROL}/main.ts`, text: load("./pools/inner.ts") },
  { rule: "nobody-imports-demo", file: `${CONTROL}/notify/deep.ts`, text: load("../demo/inner.ts") },
  { rule: "nobody-imports-infra", file: "test/plant.ts", text: load("../infra/bootstrap/index.mjs") },
  { rule: "bootstrap-is-built-ins", file: "infra/bootstrap/plant.mjs", text: load("zod") },
  { rule: "declared-packages", file: "sdk/client/src/hoisted.ts", text: load("stowaway") },
  { rule: "no-cycle", file: "worker/src/loop.ts", text: 'import type {} from "./pool.ts";\n' },
  { rule: "resolvable", file: "worker/src/lost.ts", text: load("./nowhere.ts") },
];

const PLANTS = [...ROOM_PLANTS, ...DOOR_PLANTS, ...SLICE_PLANTS, ...RUNS_PLANTS, ...OTHER_PLANTS];

/**
 * Doors that only a room which may not enter the other at all could pass by; the room's own rule stops it, and the
 * plants for these are stopped by both.
 */
const DOORS_BEHIND_A_ROOM_RULE: (Plant & { also: string })[] = [
  {
    rule: "door-cli",
    file: "worker/src/d1.ts",
    text: load("../../sdk/cli/src/inner.ts"),
    also: "room-worker",
  },
  {
    rule: "door-examples",
    file: "worker/src/d2.ts",
    text: load("../../sdk/examples/src/inner.ts"),
    also: "room-worker",
  },
  {
    rule: "door-control",
    file: "worker/src/d3.ts",
    text: load("../../services/control/src/inner.ts"),
    also: "room-worker",
  },
  {
    rule: "door-dashboard",
    file: "worker/src/d4.ts",
    text: load("../../services/dashboard/src/inner.ts"),
    also: "room-worker",
  },
  {
    rule: "door-worker",
    file: "sdk/flow/src/d5.ts",
    text: load("../../../worker/src/inner.ts"),
    also: "room-flow",
  },
];

let root = "";

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-arrows-"));
  await buildSkeleton();
});

afterEach(() => rm(root, { recursive: true, force: true }));

async function plant(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, file)), { recursive: true });
  await writeFile(join(root, file), text);
}

/** The rooms with nothing in them but their doors, linked as npm links workspaces. */
async function buildSkeleton(): Promise<void> {
  for (const path of globSync("{sdk/*,services/*,worker,test}/package.json", { cwd: ROOT })) {
    const text = await readFile(join(ROOT, path), "utf8");
    const { name, exports } = Manifest.parse(JSON.parse(text));
    const folder = dirname(path);
    await plant(path, text);
    await plant(`${folder}/src/inner.ts`, "export {};\n");
    const doors = exports === undefined ? [] : Object.values(exports);
    for (const door of doors) await plant(join(folder, door), "export {};\n");
    await mkdir(dirname(join(root, "node_modules", name)), { recursive: true });
    await symlink(join(root, folder), join(root, "node_modules", name));
  }
  await plant("infra/bootstrap/index.mjs", 'import "node:fs";\n');
  await plant("worker/src/pool.ts", "export {};\n");
  for (const slice of [...SLICES, "demo"]) {
    for (const file of ["index", "table", "inner"])
      await plant(`${CONTROL}/${slice}/${file}.ts`, "export {};\n");
  }
  for (const folder of RUNS_FOLDERS) await plant(`${CONTROL}/runs/${folder}/inner.ts`, "export {};\n");
  for (const installed of ["zod", "stowaway"]) {
    await plant(`node_modules/${installed}/package.json`, `{ "name": "${installed}", "main": "index.js" }`);
    await plant(`node_modules/${installed}/index.js`, "");
  }
}

async function check(): Promise<z.infer<typeof Answer>> {
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, "arrows.mjs"), "--json", root]);
  return Answer.parse(JSON.parse(stdout));
}

test("every allowed import is allowed", async () => {
  await plant("sdk/client/src/fine.ts", load("@towpath/contract"));
  await plant("sdk/flow/src/fine.ts", load("@towpath/contract") + load("@towpath/client"));
  await plant("sdk/cli/src/fine.ts", load("towpath") + load("towpath/config") + load("@towpath/contract"));
  await plant("sdk/examples/src/fine.ts", load("towpath"));
  await plant("services/dashboard/src/fine.ts", load("@towpath/client"));
  await plant("worker/src/fine.test.ts", load("@towpath/contract") + load("@towpath/test/harness"));
  await plant("worker/src/declared.ts", load("zod"));
  await plant(
    "test/e2e/fine.test.ts",
    load("../../services/control/src/runs/inner.ts") + load("@towpath/worker"),
  );
  await plant(
    `${CONTROL}/runs/fine.ts`,
    load("../pools/index.ts") + load("../kernel/table.ts") + load("./inner.ts"),
  );
  await plant(`${CONTROL}/main.ts`, load("./runs/index.ts"));
  await plant(`${CONTROL}/runs/needs.ts`, "export {};\n");
  for (const [index, folder] of RUNS_FOLDERS.entries()) {
    const before = RUNS_FOLDERS.slice(0, index).map((one) => load(`../${one}/inner.ts`));
    await plant(`${CONTROL}/runs/${folder}/fine.ts`, before.join("") + load("../needs.ts"));
  }
  expect(await check()).toMatchObject({ violations: [], unread: [] });
});

test("every rule fires on a planted violation, and on nothing else", async () => {
  for (const { file, text } of [...PLANTS, ...DOORS_BEHIND_A_ROOM_RULE]) await plant(file, text);
  await plant("worker/src/pool.ts", 'import type {} from "./loop.ts";\n');
  const { violations, unread } = await check();
  const found = new Set(violations.map(({ rule, from }) => `${rule} ${from}`));
  const expected = new Set(PLANTS.map(({ rule, file }) => `${rule} ${file}`));
  for (const { rule, file, also } of DOORS_BEHIND_A_ROOM_RULE) {
    expected.add(`${rule} ${file}`).add(`${also} ${file}`);
  }
  expect([...found].sort()).toEqual([...expected].sort());
  expect(unread).toEqual([]);
});

test("no rule is without a plant", () => {
  const rules = (configuration.forbidden ?? []).map((rule) => rule.name);
  const planted = new Set([...PLANTS, ...DOORS_BEHIND_A_ROOM_RULE].map(({ rule }) => rule));
  expect(rules.filter((rule) => !planted.has(rule ?? ""))).toEqual([]);
});

test("a tree in which nothing is read does not pass", async () => {
  await rm(root, { recursive: true });
  await mkdir(join(root, "sdk"), { recursive: true });
  const script = join(import.meta.dirname, "arrows.mjs");
  await expect(run(process.execPath, [script, root])).rejects.toMatchObject({
    stderr: expect.stringContaining("no module was read"),
  });
});
