import { readFileSync } from "node:fs";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Descriptions of fields and summaries of routes are for the reference documentation. Browsers do not need them. */
const DESCRIPTIONS =
  /\s*\.describe\(\s*(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`$]|\$\{[\w.]+\})*`),?\s*\)/g;

/** The problems of a route are for the server and the reference: a client learns them from answers. */
const PROBLEMS = /\bproblems:\s*\[[^\]]*\],/g;

/** The summary, the slice and the rate limit of a route. */
const SUMMARIES = /\b(?:summary|slice|rate):\s*"(?:[^"\\\n]|\\.)*",/g;

/** What clients do not use of a route: who may call it, the status of its answer, and that it must not be repeated. */
const OF_SERVER = /^ +(?:permission: "[\w-]+"|status: \d+|repeatable: false),\n/gm;

const withoutDescriptions: Plugin = {
  name: "towpath:without-descriptions",
  apply: "build",
  enforce: "pre",
  transform: (code, id) =>
    id.includes("/sdk/contract/src/")
      ? {
          code: (id.endsWith("routes.ts") ? code.replace(OF_SERVER, "") : code)
            .replace(DESCRIPTIONS, "")
            .replace(SUMMARIES, "")
            .replace(PROBLEMS, ""),
          map: null,
        }
      : null,
};

/** A module whose exports do nothing. */
function stubOf(names: readonly string[]): string {
  return `const none = () => undefined; export { ${names.map((name) => `none as ${name}`).join(", ")} };`;
}

/** Modules that no page uses, with their replacements in the build. So browsers need not load them. */
const UNUSED: Readonly<Record<string, string>> = {
  "/contract/src/worker/routes.ts": "export const WORKER_ROUTES = {};",
  "/contract/src/runs/jobs/routes.ts": "export const JOBS_ROUTES = {};",
  // Pages read the stream of events in their shared worker.
  "/client/src/stream.ts": "export const streamRoute = undefined;",
  // Pages check values against schemas and never convert schemas to JSON Schema.
  "/zod/v4/core/to-json-schema.js": stubOf([
    "createStandardJSONSchemaMethod",
    "createToJSONSchemaMethod",
    "extractDefs",
    "finalize",
    "handleUnrepresentable",
    "initializeContext",
    "process",
    "processSchema",
  ]),
};

/** What makes JSON Schemas of each type. Every type names its own, so all of them would be loaded. */
const PROCESSORS = "/zod/v4/core/json-schema-processors.js";

const withoutUnused: Plugin = {
  name: "towpath:without-unused",
  load: (id) => {
    if (!id.endsWith(PROCESSORS)) return Object.entries(UNUSED).find(([path]) => id.endsWith(path))?.[1];
    const exported = readFileSync(id, "utf8").matchAll(/^export (?:const|function) (\w+)/gm);
    return stubOf([...exported].flatMap(([, name]) => name ?? []));
  },
};

/**
 * The script that runs before the first paint gets a hash in its name like the other assets. So browsers can cache it
 * without a limit.
 */
const hashedTheme: Plugin = {
  name: "towpath:hashed-theme",
  apply: "build",
  buildStart() {
    const source = readFileSync(new URL("public/theme.js", import.meta.url));
    this.emitFile({ type: "asset", name: "theme.js", source });
  },
  transformIndexHtml: {
    order: "post",
    handler(html, { bundle }) {
      const file = Object.keys(bundle ?? {}).find((name) => /^assets\/theme-.*\.js$/.test(name));
      if (file === undefined)
        throw new Error("The script that runs before the first paint is not in the build.");
      return html.replace('src="/theme.js"', `src="/${file}"`);
    },
  },
};

export default defineConfig({
  plugins: [hashedTheme, withoutDescriptions, withoutUnused, react(), tailwindcss()],
  // Inlined modules and data URLs would need exceptions in the content security policy.
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: true,
    manifest: true,
  },
});
