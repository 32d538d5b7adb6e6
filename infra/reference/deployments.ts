import { readFileSync } from "node:fs";
import { Concurrency, RetryPolicy } from "@towpath/contract";
import { rowsOf } from "./configuration.ts";
import { type Page, table } from "./page.ts";

const NOTE =
  "<!-- Written by `npm run reference` from sdk/flow and sdk/contract. Edit the docstrings there, not this page. -->";

const FIELD = /^ {2}(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n {2})?readonly (\w+)(\??):/gm;

/** The text of a docstring and its `@default`, without the stars. */
function readDoc(doc: string): { text: string; fallback: string } {
  const flat = doc
    .replace(/^\s*\* ?/gm, " ")
    .replace(/\s+/g, " ")
    .trim();
  const [text = "", fallback = ""] = flat.split(/\s*@default\s*/);
  return { text, fallback };
}

/** A row for each field of an interface: its name, its docstring, and its default. */
function interfaceRows(path: string, name: string): string[][] {
  const source = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const [, body = ""] = new RegExp(`interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)\\n\\}`).exec(source) ?? [];
  const rows = [...body.matchAll(FIELD)].map(([, doc = "", field, optional]) => {
    const { text, fallback } = readDoc(doc);
    if (text === "") throw new Error(`${name}.${field} in ${path} has no docstring`);
    return [`\`${field}\``, text, optional === "?" ? fallback : "required"];
  });
  if (rows.length === 0) throw new Error(`${path} declares no fields of ${name}`);
  return rows;
}

const COLUMNS = ["option", "meaning", "default"];
const DEPLOYMENT = "sdk/flow/src/deployments/deployment.ts";
const CONFIG = "sdk/flow/src/config.ts";

/** The options of `towpath.config.ts`: project, stages and deployments. */
export function deploymentsPage(): Page {
  const text = [
    NOTE,
    "# Deployments and projects",
    "The options of `towpath.config.ts`: `defineConfig({ … })`, `deployment(flow, { … })` and `deployment({ name, command, … })`. Options whose name ends in `Ms` are in milliseconds.",
    "## Options of a project",
    "`export default defineConfig({ … })`.",
    table(COLUMNS, interfaceRows(CONFIG, "ProjectConfig")),
    "## Options of a stage",
    "The values of `stages`, by the stage's name.",
    table(COLUMNS, interfaceRows(CONFIG, "Stage")),
    "## Options of a deployment",
    "The second argument of `deployment(flow, { … })`.",
    table(COLUMNS, interfaceRows(DEPLOYMENT, "DeploymentOptions")),
    "## `retry`",
    "Automatic retries of a run. They differ from the retries of a task, which happen inside an attempt. [States and causes](states.md) explains each cause.",
    table(COLUMNS, rowsOf(RetryPolicy)),
    "## `concurrency`",
    table(COLUMNS, rowsOf(Concurrency)),
    "## Options of a command",
    "The argument of `deployment({ name, command, … })`. It has all options of a deployment, and these.",
    table(COLUMNS, interfaceRows(DEPLOYMENT, "CommandOptions")),
  ];
  return { path: "docs/reference/deployments.md", text: `${text.join("\n\n")}\n` };
}
