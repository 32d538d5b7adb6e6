import { realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import { relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { AnyFlow } from "towpath/config";
import { Failure } from "../failure.ts";

/** A flow's module, relative to the project, and the name of its export. */
export interface FlowPlace {
  readonly module: string;
  readonly export: string;
}

function notFound(flow: AnyFlow, reason: string): Failure {
  return new Failure(`The flow "${flow.name}" ${reason}.`, {
    exit: "configuration",
    code: "flow-not-found",
    next: [`write \`export const ${flow.name.replaceAll("-", "_")} = flow({ … })\` at the top of its module`],
  });
}

/** The export of a module that is this flow. A named export is preferred to `default`. */
async function exportOf(path: string, flow: AnyFlow): Promise<string | null> {
  // A second import returns the same instance, so nothing runs twice.
  const module: Record<string, unknown> = await import(pathToFileURL(path).href);
  const names = Object.keys(module).filter((name) => module[name] === flow);
  return names.find((name) => name !== "default") ?? names[0] ?? null;
}

/** Whether Node has loaded a module as CommonJS. Only such modules are in the cache of `require`. */
function isCommonJs(path: string): boolean {
  return Object.hasOwn(createRequire(import.meta.url).cache, path);
}

function commonJs(module: string): Failure {
  return new Failure(`${module} is CommonJS, but flows must be ES modules.`, {
    exit: "configuration",
    code: "flow-in-commonjs",
    next: [
      "replace `require` and `exports` with `import` and `export const`; CommonJS packages can still be imported",
      ...(module.endsWith(".cjs") ? ["and rename the file to .ts, .js or .mjs"] : []),
    ],
  });
}

/**
 * Finds the module that declares a flow and the export that holds it.
 * @throws Failure if the flow is not exported, is outside the project, or is in a CommonJS module.
 */
export async function findFlow(root: string, flow: AnyFlow): Promise<FlowPlace> {
  if (!flow.definedAt) throw notFound(flow, "has no known source file");
  const { file } = flow.definedAt;
  const path = await realpath(file.startsWith("file:") ? fileURLToPath(file) : file);
  const module = relative(await realpath(root), path)
    .split(sep)
    .join("/");
  if (module.startsWith("../")) throw notFound(flow, `is declared outside the project (${path})`);
  const name = await exportOf(path, flow);
  if (name === null) throw notFound(flow, `is not exported by ${module}`);
  if (isCommonJs(path)) throw commonJs(module);
  return { module, export: name };
}
