import { VARIABLES } from "@towpath/cli/config";
import { Environment } from "@towpath/control";
import { COMPUTE_VARIABLES, Settings } from "@towpath/worker";
import { z } from "zod";
import { type Page, table } from "./page.ts";

const NOTE =
  "<!-- Written by `npm run reference` from the programs' own configuration. Edit what they read, not this page. -->";

/** Defaults that depend on the machine which writes the page. The properties' descriptions explain them instead. */
const OF_THIS_MACHINE = new Set(["TOWPATH_DASHBOARD_DIR", "name"]);

interface Property {
  readonly description?: string;
  readonly default?: unknown;
}

/** A row for each property of a schema: its name, its description, and its default. */
export function rowsOf(shape: z.ZodObject): string[][] {
  const json = z.toJSONSchema(shape, { io: "input", unrepresentable: "any" });
  const required = new Set(json.required);
  return Object.entries((json.properties ?? {}) as Record<string, Property>).map(([name, property]) => {
    if (property.description === undefined) throw new Error(`${name} has no description`);
    const fallback = OF_THIS_MACHINE.has(name) || property.default === null ? undefined : property.default;
    return [`\`${name}\``, property.description, required.has(name) ? "required" : defaultOf(fallback, name)];
  });
}

function defaultOf(value: unknown, name: string): string {
  if (value === undefined) return "";
  if (typeof value === "number" && /(Ms|_MS)$/.test(name)) return `${value} (${inWords(value)})`;
  return typeof value === "string" ? `\`${value}\`` : `\`${JSON.stringify(value)}\``;
}

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const;

function inWords(ms: number): string {
  const [unit, size] = UNITS.find(([, one]) => ms >= one && ms % one === 0) ?? ["ms", 1];
  return `${ms / size} ${unit}`;
}

/** The environment variables of each program. */
export function configurationPage(): Page {
  const text = [
    NOTE,
    "# Configuration",
    "Settings whose name ends in `Ms` or `_MS` are in milliseconds. An empty variable counts as unset. If settings are wrong, the program lists all of them and does not start.",
    "## Control plane",
    "Environment variables of `towpath server start`.",
    table(["variable", "meaning", "default"], rowsOf(Environment)),
    "## Worker",
    "Settings in the JSON file of `towpath worker start --config FILE`. Paths are relative to the file's folder. For an example, see [set up a worker in a private network](../how-to/worker-in-a-private-network.md).",
    table(["setting", "meaning", "default"], rowsOf(Settings)),
    "Environment variables:",
    table(
      ["variable", "meaning"],
      Object.entries(COMPUTE_VARIABLES).map(([name, meaning]) => [`\`${name}\``, meaning]),
    ),
    "## Every command",
    "Environment variables of `towpath`.",
    table(
      ["variable", "meaning"],
      Object.entries(VARIABLES).map(([name, meaning]) => [`\`${name}\``, meaning]),
    ),
    "## Every program",
    table(
      ["variable", "meaning"],
      [
        [
          "`LOG_FORMAT`",
          "The log format of the control plane and the worker: `pretty` for people, `json` for programs. Unset: `pretty` on a terminal, otherwise `json`.",
        ],
        [
          "`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`",
          "The proxies of the worker and the commands, and the hosts without a proxy.",
        ],
        ["`NODE_EXTRA_CA_CERTS`", "A PEM file of a certificate authority of your own."],
      ],
    ),
  ];
  return { path: "docs/reference/configuration.md", text: `${text.join("\n\n")}\n` };
}
