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
const CONFIG = "test/chaos/mutation.config.ts";

/** Which case notices a mutation, and by which invariant. */
export const NOTICES = {
  fence: { by: "worker-pause-going", invariant: 3 },
  stop: { by: "link-down-stopping", invariant: 6 },
  leftovers: { by: "flow-kill", invariant: 11 },
} as const satisfies Partial<Record<MutationName, { by: string; invariant: number }>>;

const MODEL = {
  file: "services/control/src/runs/model/model.prop.test.ts",
  title: "Property failed",
} as const;
const CREATE = "services/control/src/runs/create/create.test.ts";
const CHOOSE = "services/control/src/limits/choose.prop.test.ts";
const COMPUTE = "services/control/src/runs/compute/compute.test.ts";

const ENVIRONMENTS = "worker/src/environments/environments.test.ts";
const STORE = "worker/src/attempts/store-access.test.ts";
const OCI = "worker/src/code/oci-registry.test.ts";

/** Which test file must fail with a mutation, and the text in its output which proves that the mutation made it fail. */
export const TEST_NOTICES = {
  fence: MODEL,
  plainFence: MODEL,
  renewal: MODEL,
  claim: MODEL,
  overtaken: MODEL,
  resume: MODEL,
  amounts: MODEL,
  keyHolder: MODEL,
  lines: MODEL,
  gaps: MODEL,
  devices: {
    file: "worker/src/compute/compute.test.ts",
    title: "is never a device of another attempt, in any order of starts and ends",
  },
  slots: { file: "services/control/src/runs/admit/admission.prop.test.ts", title: "Property failed" },
  overtaking: {
    file: "services/control/src/limits/allocate.test.ts",
    title: "a list whose first request does not fit delays no other",
  },
  slotOvertaking: { file: CHOOSE, title: "what cannot go does not hold up the others" },
  patience: {
    file: "services/control/src/runs/admit/admission.prop.test.ts",
    title: "a run that needs two limits is not starved by runs that need one",
  },
  keeping: { file: CHOOSE, title: "so that neither waits for the other without end" },
  lockOrder: {
    file: "services/control/src/limits/locks.test.ts",
    title: "admission locks limits in one order",
  },
  moveOrder: {
    file: "services/control/src/runs/moves/apply.test.ts",
    title: "moves lock runs in the order of their ids",
  },
  computeOvertaking: {
    file: COMPUTE,
    title: "200 runs whose amounts no worker has free delay neither the 201st",
  },
  computePatience: {
    file: COMPUTE,
    title: "a run that needs the whole worker is not starved by smaller runs",
  },
  codeOrigin: { file: OCI, title: "does not follow a redirect to another origin, not even back" },
  tokenEndpoint: { file: OCI, title: "on another origin gets the login only if the configuration names it" },
  codeDigest: {
    file: "worker/src/code/archive-registry.test.ts",
    title: "is refused when the bytes are others, or too many",
  },
  runKey: { file: CREATE, title: "with the same id and other content is a conflict" },
  idempotencyKey: { file: CREATE, title: "twenty times at once creates one run, by id and by key" },
  instant: {
    file: "services/control/src/schedules/schedules.test.ts",
    title: "has one run even if the schedule is moved back before it",
  },
  identity: {
    file: "sdk/flow/src/task/identity.test.ts",
    title: "is its parent's path, its name and its key",
  },
  seal: { file: ENVIRONMENTS, title: "that was changed is built again" },
  pickleConsent: { file: STORE, title: "are not given to a deployment that does not allow pickle" },
  pickleKey: { file: STORE, title: "differ between deployments, stages and workspaces" },
  keyLength: { file: STORE, title: "are refused if a store key is missing or shorter than 32 bytes" },
} as const satisfies Partial<Record<MutationName, { file: string; title: string }>>;

/** Environment of a process that runs with a mutation. */
export function mutated(name: MutationName): NodeJS.ProcessEnv {
  return { CHAOS_MUTATION: name, NODE_OPTIONS: `--import ${pathToFileURL(fileURLToPath(MUTATE)).href}` };
}

/** Plays the case that must notice a mutation. It passes if the case reports the invariant as broken. */
export async function runMutation(
  name: keyof typeof NOTICES,
  args: { seed: number; ground: Ground },
): Promise<Result> {
  const { by, invariant } = NOTICES[name];
  const found = CASES.find((one) => one.name === by);
  if (found === undefined) throw new Error(`There is no case ${by}.`);
  const result = await runCase(without(name, found), args);
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

/** Runs the test that must fail. @returns whether it failed, and its output */
export async function testNotices(
  name: keyof typeof TEST_NOTICES,
): Promise<{ readonly noticed: boolean; readonly output: string }> {
  const { file, title } = TEST_NOTICES[name];
  await using tests = startProcess({
    command: process.execPath,
    args: [VITEST, "run", "--config", CONFIG],
    cwd: ROOT,
    env: { ...process.env, CHAOS_MUTATION: name, CHAOS_TEST: file, NO_COLOR: "1" },
  });
  const code = await tests.exited;
  const failed = tests
    .output()
    .split("\n")
    .filter((line) => /FAIL|Property failed/.test(line));
  return { noticed: code === 1 && failed.some((line) => line.includes(title)), output: tests.output() };
}
