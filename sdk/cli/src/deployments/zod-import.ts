import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import type { Loader, Plugin } from "esbuild";

/*
 * `import { z } from "zod"` imports an object with all of zod, so a bundler must keep all of it, including messages in fifty
 * languages. `import * as z from "zod"` means the same and lets the bundler drop unused code. So flows are bundled as if
 * they were written that way.
 */

const INTERPRETER = /^#![^\n]*/;
const GAP = /(?:\s+|;|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
const STATEMENT = /import\b[\w$*\s{},]*(["'])[^"'\n]*\1/y;
const OF_ZOD = /^import\s*(z|\{[^}]*\})\s*from\s*(["']zod["'])$/;
const LOADERS: Readonly<Record<string, Loader>> = {
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
  ".js": "js",
  ".mjs": "js",
  ".cjs": "js",
  ".jsx": "jsx",
};

/**
 * Rewrites a module's imports of zod's `z` to an import of its namespace. Looks only at the imports at the start of the
 * module, because the same words further down may be part of a text. Line numbers stay.
 */
export function importNamespace(source: string): string {
  let text = source;
  const begin = INTERPRETER.exec(text)?.[0].length ?? 0;
  for (let at = afterGap(text, begin); at < text.length; at = afterGap(text, at)) {
    STATEMENT.lastIndex = at;
    const statement = STATEMENT.exec(text)?.[0];
    if (statement === undefined) break;
    const written = rewritten(statement);
    text = text.slice(0, at) + written + text.slice(at + statement.length);
    at += written.length;
  }
  return text;
}

function afterGap(text: string, at: number): number {
  GAP.lastIndex = at;
  return at + (GAP.exec(text)?.[0].length ?? 0);
}

function rewritten(statement: string): string {
  const [, names = "", zod = ""] = OF_ZOD.exec(statement) ?? [];
  const list = names === "z" ? ["z"] : names.slice(1, -1).split(",");
  const rest = list.filter((name) => name.trim() !== "z");
  if (rest.length === list.length) return statement;
  const others = rest.some((name) => name.trim() !== "") ? `; import {${rest.join(",")}} from ${zod}` : "";
  const text = `import * as z from ${zod}${others}`;
  return text + "\n".repeat(lineEnds(statement) - lineEnds(text));
}

function lineEnds(text: string): number {
  return text.split("\n").length - 1;
}

/** Bundles the project's own modules with zod's namespace instead of `z`. */
export const namespaceOfZod: Plugin = {
  name: "namespace-of-zod",
  setup(hooks) {
    hooks.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
      if (/[\\/]node_modules[\\/]/.test(path)) return null;
      const loader = LOADERS[extname(path)];
      const source = await readFile(path, "utf8");
      const contents = importNamespace(source);
      return loader === undefined || contents === source ? null : { contents, loader };
    });
  },
};
