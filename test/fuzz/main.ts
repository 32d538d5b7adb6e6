/**
 * Sends generated requests, made from the OpenAPI document, to a real control plane.
 * Usage: npm run fuzz -- [--seed N] [--examples N] [--only PASS]... [--slow-ms N]
 *
 * A failure is a status of 500 or more, an answer that the document does not describe, or one that takes longer than `--slow-ms`.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Route } from "@towpath/contract";
import { documentOf, routesOf } from "./document.ts";
import { type Ground, openGround } from "./ground.ts";
import { type Found, installSchemathesis, playRequests, SetUpError } from "./schemathesis.ts";

/** Random requests per route, beside those that Schemathesis derives from the document's limits. */
const EXAMPLES = 20;
const SLOW_MS = 1_000;

/** One pass: a caller and its routes. */
interface Pass {
  readonly token: (ground: Ground) => string | null;
  readonly routes: (route: Route, name: string) => boolean;
}

const isOfWorker = (route: Route) => route.permission === "worker" || route.permission === "worker-key";

const PASSES: Readonly<Record<string, Pass>> = {
  "api-key": {
    token: ({ tokens }) => tokens.apiKey,
    routes: (route, name) => !isOfWorker(route) && name !== "revokeKey",
  },
  "worker-key": {
    token: ({ tokens }) => tokens.workerKey,
    routes: ({ permission }) => permission === "worker-key",
  },
  worker: {
    token: ({ tokens }) => tokens.session,
    routes: ({ permission }, name) => permission === "worker" && name !== "claim",
  },
  // A poll disowns the attempts that it does not name. A second worker polls, so that other requests still find attempts.
  claim: { token: ({ idleSession }) => idleSession, routes: (_, name) => name === "claim" },
  // This pass may revoke every key, including its own.
  "revoke-key": { token: ({ tokens }) => tokens.apiKey, routes: (_, name) => name === "revokeKey" },
  "no-key": { token: () => null, routes: () => true },
};

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    examples: { type: "string", default: String(EXAMPLES) },
    only: { type: "string", multiple: true, default: [] },
    "slow-ms": { type: "string", default: String(SLOW_MS) },
  },
});

function wholeNumber(option: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  console.error(`--${option} takes a whole number from 1.`);
  process.exit(2);
}

const seed = wholeNumber("seed", values.seed ?? String(1 + Math.floor(Math.random() * 1_000_000)));
const examples = wholeNumber("examples", values.examples);
const slowMs = wholeNumber("slow-ms", values["slow-ms"]);
const unknown = values.only.find((name) => !Object.hasOwn(PASSES, name));
if (unknown !== undefined) {
  console.error(`There is no pass ${unknown}. Passes: ${Object.keys(PASSES).join(", ")}.`);
  process.exit(2);
}
const chosen = Object.entries(PASSES).filter(
  ([name]) => values.only.length === 0 || values.only.includes(name),
);

async function playPass(ground: Ground, name: string, pass: Pass): Promise<Found> {
  const { folder, url } = ground.stack;
  const document = join(folder, `openapi-${name}.json`);
  await writeFile(document, JSON.stringify(documentOf(routesOf(pass.routes), ground.known)));
  return playRequests({ folder, document, url, token: pass.token(ground), seed, examples, slowMs });
}

function print(name: string, found: Found, seconds: number): void {
  const counts = `${found.operations} routes, ${found.requests} requests, ${found.accepted} accepted, ${found.failures} failures`;
  console.log(`${name.padEnd(12)}${counts}, ${seconds} s`);
  if (found.ok) return;
  console.log(`    ${found.text.trim().replaceAll("\n", "\n    ")}`);
  const again = [`--seed ${seed}`, `--examples ${examples}`, `--only ${name}`];
  if (slowMs !== SLOW_MS) again.push(`--slow-ms ${slowMs}`);
  console.log(`    again: npm run fuzz -- ${again.join(" ")}`);
}

async function playAll(): Promise<number> {
  await installSchemathesis();
  await using ground = await openGround();
  let broken = 0;
  for (const [name, pass] of chosen) {
    const startMs = performance.now();
    const found = await playPass(ground, name, pass);
    print(name, found, Math.round((performance.now() - startMs) / 1000));
    if (!found.ok) broken += 1;
  }
  console.log(`${chosen.length} passes, ${broken} with failures; seed ${seed}`);
  return broken;
}

try {
  process.exit((await playAll()) === 0 ? 0 : 1);
} catch (error) {
  if (!(error instanceof SetUpError)) throw error;
  console.error(error.message);
  process.exit(1);
}
