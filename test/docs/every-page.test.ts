import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { towpath } from "@towpath/cli/commands";
import { expect, test } from "vitest";
import { Settings } from "../../worker/src/settings.ts";
import { DEFAULT_UIDS } from "../../worker/src/walls/index.ts";
import { blocksOf } from "./blocks.ts";
import { wordsOf } from "./run-page.ts";

type Command = Awaited<ReturnType<typeof towpath>>["commands"][number];

const root = new URL("../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), "utf8");
/** All pages but the reference of commands, which is generated from the commands. */
const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: fileURLToPath(root) })].filter(
  (path) => path !== "docs/reference/commands.md",
);
const FENCED = /^```(\w+)([^\n]*)\n([\s\S]*?)^```$/gm;
const codeOf = (text: string) => [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);

function overhear(command: Command, say: (text: string) => void): void {
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: say });
  for (const inner of command.commands) overhear(inner, say);
}

/** The CLI's error for words that it does not accept; nothing if it accepts them. */
async function complaintOf(words: string[]): Promise<string> {
  let said = "";
  const command = await towpath(async () => undefined);
  const say = (text: string) => {
    said += text;
  };
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: say });
  for (const inner of command.commands) overhear(inner, say);
  return await command.parseAsync(words, { from: "user" }).then(
    () => "",
    (thrown: unknown) => said || String(thrown),
  );
}

/** The commands in a page's shell blocks and in its text. */
function commandsOf(page: string): { line: string; whole: boolean }[] {
  const shell = blocksOf(page).filter(({ language }) => language === "sh");
  const lines = shell.flatMap(({ text }) => text.replaceAll("\\\n", " ").trim().split("\n"));
  const named = codeOf(page.replaceAll(FENCED, ""));
  return [
    ...lines.flatMap((line) => {
      const [, found] = /^(?:(?:[A-Z_]+=\S+ +)*)(?:npx )?towpath +([^#|&>]*)/.exec(line) ?? [];
      return found === undefined ? [] : [{ line: found, whole: true }];
    }),
    ...named.flatMap((code) => {
      const [, found] = /^(?:npx )?towpath +(.*)$/.exec(code) ?? [];
      return found === undefined ? [] : [{ line: found, whole: false }];
    }),
  ];
}

/** Text may name a command without its arguments, and a number by a letter. */
async function faultOf({ line, whole }: { line: string; whole: boolean }): Promise<string> {
  const words = wordsOf(line).map((word) => (/^[A-Z]$/.test(word) ? "1" : word));
  const complaint = await complaintOf(words);
  return !whole && /missing required argument/.test(complaint) ? "" : complaint;
}

test.each(pages)("%s: every command and option on it exists", async (path) => {
  const commands = commandsOf(read(path));
  const faults = await Promise.all(commands.map(async (one) => [one.line, await faultOf(one)]));
  expect(faults.filter(([, fault]) => fault !== "")).toEqual([]);
});

test("commands on pages are found, and a command that does not exist is noticed", async () => {
  expect(pages.flatMap((path) => commandsOf(read(path))).length).toBeGreaterThan(100);
  const [planted] = commandsOf("```sh\nA_B=1 npx towpath pool make x  # note\n```\n");
  expect(planted).toEqual({ line: "pool make x  ", whole: true });
  for (const line of ["pool make x", "demo seed --tiny", "nothing"])
    expect(await faultOf({ line, whole: false }), line).toMatch(/unknown/);
  expect(await faultOf({ line: "why", whole: true })).toContain("missing required argument");
  expect(await faultOf({ line: "why", whole: false })).toBe("");
});

/** Variables of other programs that pages mention. */
const OTHERS = [
  "AWS_REGION",
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "GIT_SSL_CAINFO",
  "LC_ALL",
];

const SET_UP = ["docs/how-to/worker-in-a-private-network.md", "docs/how-to/external-postgres.md"];

test.each(SET_UP)("%s: every variable on it is in the reference", (path) => {
  const page = read(path);
  const reference = new Set(codeOf(read("docs/reference/configuration.md")));
  const own = [...page.matchAll(/"env": "(\w+)"/g)].map(([, name = ""]) => name);
  const known = new Set([...reference, ...own, ...OTHERS]);
  const named = new Set(page.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g));
  expect(named.size).toBeGreaterThan(4);
  expect([...named].filter((name) => !known.has(name))).toEqual([]);
});

/** The rows of a page's table with this first column, by the names in their first cell. */
function rowsOf(path: string, column: string): { names: string[]; row: string }[] {
  const [, table = ""] = read(path).split(new RegExp(`^\\| ${column} \\|.*\\n\\|[- |]*\\n`, "m"));
  const rows = /^(?:\|.*\n)+/.exec(table)?.[0].trim().split("\n") ?? [];
  return rows.map((row) => ({ names: codeOf(row.split("|")[1] ?? ""), row }));
}

test("docs/how-to/external-postgres.md gives the same defaults as the reference", () => {
  const reference = read("docs/reference/configuration.md").split("\n");
  const rows = rowsOf("docs/how-to/external-postgres.md", "variable");
  expect(rows.length).toBeGreaterThan(5);
  for (const { names, row } of rows) {
    const told = reference.filter((line) => names.some((name) => line.startsWith(`| \`${name}\` |`))).join();
    for (const code of codeOf(row.split("|").at(-2) ?? "")) expect(told, row).toContain(code);
  }
});

test("docs/how-to/isolate-runs.md: its setting is valid, and its table has every value", () => {
  const page = read("docs/how-to/isolate-runs.md");
  const [json] = blocksOf(page).filter(({ language }) => language === "json");
  const { runAs } = JSON.parse(json?.text ?? "");
  expect(Settings.shape.runAs.parse(runAs)).toEqual({ uids: DEFAULT_UIDS });
  const values = rowsOf("docs/how-to/isolate-runs.md", "value").flatMap(({ names }) => names);
  expect(values.length).toBeGreaterThan(4);
  for (const value of values)
    Settings.shape.runAs.parse(JSON.parse(value.replace("FIRST-LAST", "200000-200999")));
  const settings = rowsOf("docs/how-to/isolate-runs.md", "setting").flatMap(({ names }) => names);
  expect(settings.length).toBeGreaterThan(4);
  for (const setting of settings) {
    const given = JSON.parse(`{${setting.replaceAll("[...]", '["/data"]')}}`);
    expect(Settings.pick({ namespaces: true, flowFolders: true }).parse(given)).toMatchObject(given);
  }
});

test("docs/how-to/worker-in-a-private-network.md: its configuration is valid, and its table has the right settings", () => {
  const path = "docs/how-to/worker-in-a-private-network.md";
  const [json] = blocksOf(read(path)).filter(({ language }) => language === "json");
  const given = JSON.parse(json?.text ?? "");
  expect(Settings.parse(given)).toMatchObject({ pool: "warehouse", capacity: 8 });
  const { capacity: _, ...rest } = given;
  const defaults = new Map<string, unknown>(Object.entries(Settings.parse(rest)));
  const rows = rowsOf(path, "setting");
  expect(rows.length).toBeGreaterThan(10);
  for (const { names, row } of rows) {
    for (const name of names) expect(Object.keys(Settings.shape), row).toContain(name.split(".")[0]);
    const told = row.split("|").at(-2)?.trim() ?? "";
    const numbers = [...told.matchAll(/^(\d+)$|`(\w+)`: (\d+)/g)];
    for (const [, only, name = names[0] ?? "", number = only] of numbers)
      expect(defaults.get(name), row).toBe(Number(number));
  }
});
