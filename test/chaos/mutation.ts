import { fileURLToPath, pathToFileURL } from "node:url";
import { startProcess } from "../harness/process.ts";
import type { Case } from "./cases/case.ts";
import { CASES } from "./cases/index.ts";
import type { Ground } from "./ground.ts";
import { type Result, runCase } from "./matrix.ts";
import { MUTATIONS, type MutationName } from "./mutations.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MUTATE = new URL("./mutate.ts", import.meta.url);
const VITEST = "node_modules/vitest/vitest.mjs";
const MODEL_CONFIG = "test/chaos/mutation.config.ts";

/** Which case notices what is missing, and by which invariant. */
export const NOTICES = {
  fence: { by: "worker-pause-going", invariant: 3 },
  stop: { by: "link-down-stopping", invariant: 6 },
  leftovers: { by: "flow-kill", invariant: 11 },
} as const satisfies Partial<Record<MutationName, { by: string; invariant: number }>>;

/** What the model of runs must notice. */
export const MODEL_NOTICES = ["fence", "renewal", "claim", "slots"] as const satisfies MutationName[];

/** The environment of a process that is to run without something. */
export function mutated(name: MutationName): NodeJS.ProcessEnv {
  return { CHAOS_MUTATION: name, NODE_OPTIONS: `--import ${pathToFileURL(fileURLToPath(MUTATE)).href}` };
}

/** Runs the case that must notice, without what it notices the absence of. All is well when the invariant is broken. */
export async function runMutation(
  name: keyof typeof NOTICES,
  a: { seed: number; ground: Ground },
): Promise<Result> {
  const { by, invariant } = NOTICES[name];
  const found = CASES.find((one) => one.name === by);
  if (found === undefined) throw new Error(`There is no case ${by}.`);
  const result = await runCase(without(name, found), a);
  const noticed = result.faults.some((fault) => fault.startsWith(`invariant ${invariant}:`));
  return {
    ...result,
    name: `without ${name}`,
    faults: noticed ? [] : [`${by} did not notice that "${name}" is missing`, ...result.faults],
  };
}

function without(name: MutationName, one: Case): Case {
  const env = mutated(name);
  return {
    ...one,
    workerEnv: MUTATIONS[name].file.startsWith("worker/") ? env : {},
    controlEnv: (scene) => ({
      ...one.controlEnv?.(scene),
      ...(MUTATIONS[name].file.startsWith("services/") ? env : {}),
    }),
  };
}

/** Whether the model of runs fails without something, and what it printed. */
export async function modelNotices(
  name: (typeof MODEL_NOTICES)[number],
): Promise<{ readonly noticed: boolean; readonly output: string }> {
  await using model = startProcess({
    command: process.execPath,
    args: [VITEST, "run", "--config", MODEL_CONFIG],
    cwd: ROOT,
    env: { ...process.env, CHAOS_MUTATION: name, NO_COLOR: "1" },
  });
  const code = await model.exited;
  // It must be the property that fails, not something before it.
  return { noticed: code === 1 && /Property failed/.test(model.output()), output: model.output() };
}
