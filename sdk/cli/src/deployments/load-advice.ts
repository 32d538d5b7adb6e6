import { existsSync } from "node:fs";
import { relative } from "node:path";

/** File extensions that an import may lack, the likeliest first. */
const ENDINGS = [".ts", ".js", ".mts", ".mjs", "/index.ts", "/index.js"] as const;

function ofMissingModule(root: string, message: string): string[] {
  const [, missing, importer] = /Cannot find module '([^']+)'(?: imported from (\S.*))?/.exec(message) ?? [];
  if (missing === undefined || !missing.startsWith("/")) return [];
  const bare = missing.replace(/\.[mc]?js$/, "");
  const ending = ENDINGS.find((one) => existsSync(`${bare}${one}`));
  const where = importer === undefined ? "the import" : `the import in ${relative(root, importer)}`;
  if (ending === undefined) return [`check ${where}: the file ${relative(root, missing)} does not exist`];
  return [`add the file extension to ${where}: ${relative(root, bare)}${ending}`];
}

/** Faults of modules, each with its fix. */
const REMEDIES: readonly { readonly pattern: RegExp; readonly next: string }[] = [
  {
    pattern: /TypeScript enum is not supported/,
    next: 'Node removes types but does not compile TypeScript: write `const Colour = { red: "red" } as const` instead of an enum',
  },
  {
    pattern: /TypeScript (parameter property|namespace|import equals|`module`)[^\n]*not supported/,
    next: "Node removes types but does not compile TypeScript: write it as plain JavaScript; `erasableSyntaxOnly` in tsconfig.json finds all such code",
  },
  {
    pattern: /needs an import attribute of "type: json"/,
    next: 'write `import data from "./data.json" with { type: "json" }`',
  },
  {
    pattern: /does not provide an export named/,
    next: "if the name is a type, import it with `import type`; else check its spelling in the module",
  },
  {
    pattern: /(require|exports|module) is not defined in ES module scope/,
    next: "flows are ES modules: write `import` and `export` instead of `require` and `module.exports`",
  },
];

/** Next steps for a module that did not load, from Node's message. */
export function loadAdvice(root: string, message: string): string[] {
  const known = REMEDIES.filter(({ pattern }) => pattern.test(message)).map(({ next }) => next);
  return [...ofMissingModule(root, message), ...known];
}
