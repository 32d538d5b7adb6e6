import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { unreadPages } from "./pages.ts";
import {
  FILE_LINES_LIMIT,
  FUNCTION_LINES_LIMIT,
  judge,
  projectFiles,
  REPORTED,
  ROOT,
  RULES,
  type SourceFile,
} from "./rules.ts";

const files = projectFiles();

test("the project's files are found", () => {
  expect(files.map((file) => file.path)).toContain("test/house/house.test.ts");
});

for (const rule of RULES) {
  test(rule.name, () => {
    expect(judge(files, [rule]).map((breach) => breach.where)).toEqual([]);
  });
}

test("long files and functions are reported", () => {
  for (const rule of REPORTED)
    for (const { where } of judge(files, [rule])) console.info(`${rule.name}: ${where}`);
});

test("every page with code on it is read by a test, by name", () => {
  expect(unreadPages(files)).toEqual([]);
});

test("a page with code that no test reads is found", () => {
  const page = (path: string) => ({ path, text: "# A page\n\n```sh\ntowpath dev\n```\n" });
  const pages = [page("docs/how-to/a.md"), page("docs/how-to/b.md"), { path: "docs/c.md", text: "no code" }];
  const reader = { path: "test/docs/a.test.ts", text: 'readPage("docs/how-to/a.md");' };
  const other = { path: "worker/src/a.ts", text: 'const page = "docs/how-to/b.md";' };
  expect(unreadPages([...pages, reader, other])).toEqual(["docs/how-to/b.md"]);
});

test("the gate of every change runs the same tests as everyone", () => {
  const path = join(ROOT, ".ci", "run");
  expect(readFileSync(path, "utf8")).toMatch(/^npm test\nnpm run test:long$/m);
  expect(statSync(path).mode & 0o111).toBe(0o111);
});

const longFunction = `export function long() {\n${"  work();\n".repeat(FUNCTION_LINES_LIMIT - 2)}}\n`;
const place = (...parts: string[]) => parts.join("");

const PLANTS: Record<string, { breaks: SourceFile[]; keeps: SourceFile[] }> = {
  "the environment is read only in config.ts": {
    breaks: [
      { path: "worker/src/a.ts", text: "export const home = process.env.HOME;" },
      { path: "worker/src/b.ts", text: 'export const home = process["env"].HOME;' },
      { path: "worker/src/c.ts", text: 'import { env as e } from "node:process"; e.HOME;' },
      { path: "worker/src/d.ts", text: "const { env } = process; env.HOME;" },
    ],
    keeps: [
      { path: "worker/src/config.ts", text: "export const home = process.env.HOME;" },
      { path: "worker/src/a.test.ts", text: "process.env.HOME;" },
      { path: "infra/bootstrap/run.mjs", text: "process.env.PATH;" },
      { path: "worker/src/e.ts", text: '/** Never reads process.env. */ export const text = "process.env";' },
    ],
  },
  "the clock is read only in clock.ts": {
    breaks: [
      { path: "worker/src/a.ts", text: "new Date();" },
      { path: "worker/src/b.ts", text: "[1].map(Date.now);" },
      { path: "worker/src/c.ts", text: "Date();" },
      { path: "worker/src/d.ts", text: "new Date;" },
    ],
    keeps: [
      { path: "worker/src/clock.ts", text: "Date.now(); new Date();" },
      { path: "worker/src/a.test.ts", text: "Date.now();" },
      { path: "worker/src/e.ts", text: "new Date(0); // not Date.now()" },
    ],
  },
  "no folder or file is named after nothing": {
    breaks: [
      { path: "worker/src/utils/a.ts", text: "" },
      { path: "worker/src/types.ts", text: "" },
      { path: "docs/common/a.md", text: "" },
      { path: "sdk/flow/src/helper.test.ts", text: "" },
    ],
    keeps: [{ path: "worker/src/type-stripping.ts", text: "" }],
  },
  [`functions longer than ${FUNCTION_LINES_LIMIT} lines`]: {
    breaks: [
      { path: "worker/src/a.ts", text: longFunction.replace("{\n", "{\n  work();\n") },
      { path: "worker/src/b.ts", text: `export const f = () => {${"\n".repeat(FUNCTION_LINES_LIMIT)}};` },
    ],
    keeps: [
      { path: "worker/src/c.ts", text: longFunction },
      { path: "worker/src/c.test.ts", text: longFunction.repeat(2) },
    ],
  },
  [`files longer than ${FILE_LINES_LIMIT} lines`]: {
    breaks: [{ path: "worker/src/a.ts", text: "a;\n".repeat(FILE_LINES_LIMIT + 1) }],
    keeps: [
      { path: "worker/src/b.ts", text: "a;\n".repeat(FILE_LINES_LIMIT) },
      { path: "docs/long.md", text: "a\n".repeat(FILE_LINES_LIMIT + 1) },
    ],
  },
  "no path of one machine and no registry's host is written down": {
    breaks: [
      { path: "README.md", text: place("Look in /ho", "me/alice/towpath") },
      { path: "docs/a.md", text: place("https://registry.npm", "js.org/zod") },
    ],
    keeps: [
      { path: "docs/b.md", text: "Push to registry.example.com, keep state in /var/lib/towpath." },
      { path: "docs/c.md", text: "See https://example.com/home/page" },
    ],
  },
  "the lock file says nothing of where packages came from": {
    breaks: [{ path: "package-lock.json", text: '      "resolved": "https://mirror.example.com/a.tgz",' }],
    keeps: [{ path: "package-lock.json", text: '      "resolved": "sdk/cli",' }],
  },
  "the first folder of the control plane is a domain word": {
    breaks: [{ path: "services/control/src/misc/a.ts", text: "" }],
    keeps: [
      { path: "services/control/src/runs/a.ts", text: "" },
      { path: "services/control/src/main.ts", text: "" },
    ],
  },
  "every folder of runs is in the order that the arrows follow": {
    breaks: [{ path: "services/control/src/runs/store/a.ts", text: "" }],
    keeps: [
      { path: "services/control/src/runs/moves/a.ts", text: "" },
      { path: "services/control/src/runs/model/a.fixture.ts", text: "" },
    ],
  },
  "the states of runs and attempts are written only in runs/moves": {
    breaks: [
      {
        path: "services/control/src/runs/a.ts",
        text: "sql`update run r set cause = null,\n state = 'ready' where`",
      },
      {
        path: "services/control/src/logs/b.ts",
        text: place("sql`update attempt a set $", "{claimed} where a.id = 1`"),
      },
      { path: "services/control/src/runs/c.ts", text: "sql`insert into run (workspace_id, id) select`" },
      { path: "services/control/src/runs/d.ts", text: "tx.update(attempt).set({ cause, state: to })" },
      { path: "services/control/src/runs/e.ts", text: "tx.insert(run).values(row)" },
    ],
    keeps: [
      { path: "services/control/src/runs/moves/a.ts", text: "sql`update run set state = 'ready'`" },
      {
        path: "services/control/src/runs/f.ts",
        text: "sql`update run set tied = true where state = 'ready'`",
      },
      { path: "services/control/src/runs/g.ts", text: "sql`insert into run_key (run_id) select`" },
      { path: "services/control/src/runs/h.ts", text: "tx.update(attempt).set({ limited: true })" },
    ],
  },
};

describe("a planted breach of the rule", () => {
  for (const rule of [...RULES, ...REPORTED]) {
    test(`"${rule.name}" is found, and what it allows is not`, () => {
      const plants = PLANTS[rule.name];
      const found = (list: SourceFile[]) =>
        list.filter((file) => judge([file], [rule]).length > 0).map((file) => file.path);
      expect(found(plants?.breaks ?? [])).toEqual(plants?.breaks.map((file) => file.path));
      expect(found(plants?.keeps ?? [])).toEqual([]);
    });
  }
});

test("SECURITY.md names tests that exist, for each party, and every group of attacks", () => {
  const page = readFileSync(join(ROOT, "SECURITY.md"), "utf8");
  const [, model = ""] = page.split("## Who can do what");
  const parties = (model.split("\n## ")[0] ?? "").split("\n### ").slice(1);
  expect(parties.length).toBeGreaterThan(12);
  for (const party of parties) {
    const rows = party.split("\n").filter((line) => /^\| (?!can |---)/.test(line));
    expect(rows.length, party).toBeGreaterThan(1);
    for (const row of rows)
      expect(row.split(" | ").at(-1), row).toMatch(/\.test\.ts`|attacks of the groups? `/);
  }
  const named = page.match(/[\w./-]+\.test\.ts(?=`)/g) ?? [];
  const paths = new Set(files.map(({ path }) => path));
  expect(named.filter((path) => !paths.has(path))).toEqual([]);
  const source = readFileSync(join(ROOT, "sdk/cli/src/attack/attack.ts"), "utf8");
  const [, list = ""] = /GROUPS = \[([^\]]+)\]/.exec(source) ?? [];
  const groups = [...list.matchAll(/"(\w+)"/g)].map(([, name]) => name);
  expect(groups.length).toBeGreaterThan(7);
  const said = model.match(/attacks of the groups? [^|]*/g)?.join() ?? "";
  expect(groups.filter((name) => !said.includes(`\`${name}\``))).toEqual([]);
});
