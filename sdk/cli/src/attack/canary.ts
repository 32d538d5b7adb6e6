import { join } from "node:path";
import { z } from "zod";
import type { CodeTree } from "../deployments/code-tree.ts";
import { readIfThere } from "../kernel/state-folder.ts";

/** How often a canary that is held looks whether it may go, milliseconds, and for how long at most. */
const TICK_MS = 50;
const HOLD_TICKS = 4_000;

/**
 * The program that the test specs run. It leaves a line in a file, so that no run of it can be hidden, and prints the same. With a
 * third argument it then prints a line now and then until the file of that name is there.
 */
const CANARY = `
import { appendFileSync, existsSync, readFileSync } from "node:fs";
const [marker, folder, until] = process.argv.slice(2);
const read = (path) => { try { return readFileSync(path, "utf8"); } catch { return ""; } };
const seen = JSON.stringify({ marker, argv: process.argv.slice(2), env: process.env, parameters: read(process.env.TOWPATH_PARAMETERS_FILE ?? "") });
try { appendFileSync(folder + "/" + marker, seen + "\\n", { mode: 0o644 }); } catch {}
console.log("canary " + seen);
for (let tick = 0; until !== undefined && tick < ${HOLD_TICKS} && !existsSync(folder + "/" + until); tick++) {
  await new Promise((resolve) => setTimeout(resolve, ${TICK_MS}));
  console.log("tick " + tick);
}
`;

/** The path of the program in the test code. */
export const CANARY_FILE = "canary.mjs";

/** The code of the test specs. */
export function canaryCode(): CodeTree {
  return [{ path: CANARY_FILE, bytes: new TextEncoder().encode(CANARY), executable: false }];
}

/** The command of a test spec, by the marker that it leaves. */
export function canaryCommand(marker: string, folder: string, until?: string): string[] {
  return [process.execPath, CANARY_FILE, marker, folder, ...(until === undefined ? [] : [until])];
}

const Seen = z.object({
  marker: z.string(),
  argv: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  parameters: z.string(),
});
/** What a canary saw of its arguments, environment and parameters. */
export type Seen = z.infer<typeof Seen>;

const PRINTED = "canary ";

/** The canaries of a marker that ran, by the file that they left. */
export async function leftBy(folder: string, marker: string): Promise<Seen[]> {
  const text = (await readIfThere(join(folder, marker))) ?? "";
  return text.split("\n").flatMap(seenIn);
}

/** The canaries of a marker that ran, by their output. */
export function printedBy(lines: readonly string[], marker: string): Seen[] {
  return lines
    .filter((line) => line.startsWith(PRINTED))
    .flatMap((line) => seenIn(line.slice(PRINTED.length)))
    .filter((one) => one.marker === marker);
}

function seenIn(line: string): Seen[] {
  try {
    return [Seen.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}
