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
const CANARY_FILE = "canary.mjs";

/** Asks its worker's gateway the same question again and again, as a flow does, and prints each answer. */
const ASKER = `
import { readFileSync } from "node:fs";
import { request } from "node:http";
const [marker, question, times] = process.argv.slice(2);
const token = readFileSync(process.env.TOWPATH_TOKEN_FILE, "utf8").trim();
const ask = (method, path, body) => new Promise((resolve) => {
  const headers = { authorization: "Bearer " + token };
  const sent = request({ socketPath: process.env.TOWPATH_SOCKET, method, path, headers }, (answer) => {
    let text = "";
    answer.on("data", (chunk) => { text += chunk; });
    answer.on("end", () => resolve(answer.statusCode + " " + text.slice(0, 200)));
  });
  sent.on("error", (error) => resolve("0 " + error.message));
  sent.end(body);
});
const call = { path: marker, call: { kind: "get-run", runId: process.env.TOWPATH_RUN_ID } };
for (let time = 0; time < Number(times); time++)
  console.log("answer " + (question === "call" ? await ask("POST", "/calls", JSON.stringify(call)) : await ask("GET", "/checkpoints", "")));
`;

const ASKER_FILE = "asker.mjs";

/** Sends requests to its worker's gateway one after another, as an engine does, and prints each answer whole. */
const SPEAKER = `
import { readFileSync } from "node:fs";
import { request } from "node:http";
const token = readFileSync(process.env.TOWPATH_TOKEN_FILE, "utf8").trim();
const ask = ([method, path, body, type]) => new Promise((resolve) => {
  const headers = { authorization: "Bearer " + token, ...(type && { "content-type": type }) };
  const sent = request({ socketPath: process.env.TOWPATH_SOCKET, method, path, headers }, (answer) => {
    let text = "";
    answer.on("data", (chunk) => { text += chunk; });
    answer.on("end", () => resolve(answer.statusCode + " " + text));
  });
  sent.on("error", (error) => resolve("0 " + error.message));
  sent.end(body);
});
for (const one of JSON.parse(process.argv[2]))
  for (let time = 0; time < (one[4] ?? 1); time++) console.log("answer " + (await ask(one)));
`;

const SPEAKER_FILE = "speaker.mjs";

/** A request of the run protocol, and how often it is sent. @default once */
export type Spoken = readonly [
  method: "GET" | "POST",
  path: string,
  body?: string,
  type?: string,
  times?: number,
];

/** The code of the test specs. */
export function canaryCode(): CodeTree {
  const files = { [ASKER_FILE]: ASKER, [CANARY_FILE]: CANARY, [SPEAKER_FILE]: SPEAKER };
  return Object.entries(files).map(([path, text]) => ({
    path,
    bytes: new TextEncoder().encode(text),
    executable: false,
  }));
}

/** The command of a test spec that asks its worker for calls or checkpoints, so many times. */
export function askerCommand(marker: string, question: "call" | "listCheckpoints", times: number): string[] {
  return [process.execPath, ASKER_FILE, marker, question, String(times)];
}

/** The command of a test spec that sends these requests to its worker. */
export function speakerCommand(requests: readonly Spoken[]): string[] {
  return [process.execPath, SPEAKER_FILE, JSON.stringify(requests)];
}

/** The answers that it printed: `200 {…}`. */
export function answersIn(lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith("answer ")).map((line) => line.slice("answer ".length));
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
