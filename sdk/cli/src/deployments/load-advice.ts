import { existsSync } from "node:fs";
import { relative } from "node:path";

/** Endings that an import may have left away, in the order in which they are likely. */
const ENDINGS = [".ts", ".js", ".mts", ".mjs", "/index.ts", "/index.js"] as const;

function ofMissingModule(root: string, message: string): string[] {
  const [, missing, importer] = /Cannot find module '([^']+)'(?: imported from (\S.*))?/.exec(message) ?? [];
  if (missing === undefined || !missing.startsWith("/")) return [];
  const bare = missing.replace(/\.[mc]?js$/, "");
  const ending = ENDINGS.find((one) => existsSync(`${bare}${one}`));
  const where = importer === undefined ? "the import" : `the import in ${relative(root, importer)}`;
  if (ending === undefined) return [`check ${where}: there is no ${relative(root, missing)}`];
  return [`write ${where} with its ending, as Node reads it: ${relative(root, bare)}${ending}`];
}

/** Faults of modules that have one remedy each. */
const REMEDIES: readonly { readonly pattern: RegExp; readonly next: string }[] = [
  {
    pattern: /TypeScript enum is not supported/,
    next: 'Node leaves types out and translates nothing: write `const Colour = { red: "red" } as const` instead of an enum',
  },
  {
    pattern: /TypeScript (parameter property|namespace|import equals|`module`)[^\n]*not supported/,
    next: "Node leaves types out and translates nothing: write it as plain JavaScript; `erasableSyntaxOnly` in tsconfig.json finds all such places",
  },
  {
    pattern: /needs an import attribute of "type: json"/,
    next: 'write `import data from "./data.json" with { type: "json" }`',
  },
  {
    pattern: /does not provide an export named/,
    next: "a name that stands only for a type is imported with `import type`; else look how the module spells it",
  },
  {
    pattern: /(require|exports|module) is not defined in ES module scope/,
    next: "flows are ES modules: `import` and `export` instead of `require` and `module.exports`",
  },
];

/** What to do about a module that did not load, as far as what Node said of it tells. */
export function loadAdvice(root: string, message: string): string[] {
  const known = REMEDIES.filter(({ pattern }) => pattern.test(message)).map(({ next }) => next);
  return [...ofMissingModule(root, message), ...known];
}
