import type { Client } from "@towpath/client";
import {
  closest,
  deploymentNameOf,
  LIMITS,
  type Limit,
  Problem,
  resolvesSecret,
  secretVariable,
  type Worker,
} from "@towpath/contract";
import { declaredLimits, resourceSecrets } from "towpath/config";
import { Failure } from "../failure.ts";
import type { ProjectCode } from "./code.ts";
import type { Project, ProjectDeployment } from "./project.ts";
import { remoteTasksOf } from "./spec.ts";

/** What was found in the code of a project, and the stage that it is deployed for. */
export interface ReadyGround {
  readonly stage: Project["stage"];
  readonly registry: Project["registry"];
  readonly code: Pick<ProjectCode, "names" | "remote" | "tasks">;
  /** Whether the deploy is for the worker of `towpath dev`. It has only secrets of the environment. */
  readonly isDev: boolean;
  /** The file that describes the project. */
  readonly configFile: string;
}

/** Something that runs of a deployment will lack, and the next step. Both are sentences. */
export interface Lack {
  readonly about: "secret" | "pool" | "registry";
  readonly what: string;
  readonly next: string;
}

/** At most this many pages of limits are read. */
const PAGES_MAX = 50;

const quoted = (names: readonly string[]) => names.map((name) => `"${name}"`).join(", ");

/** The pools of a deployment's runs and of its remote tasks. */
function poolsOf(deployment: ProjectDeployment, { stage, code }: ReadyGround): readonly string[] {
  const remote = remoteTasksOf(deployment, { remote: code.remote, pools: stage?.pools ?? {} });
  return [...new Set([...deployment.settings.pools, ...Object.values(remote).flatMap(({ pools }) => pools)])];
}

/**
 * Secrets that a deployment's code or resources use, and that no deployment of this code lists. Each with its user. A module
 * may export several flows, and only some of them may read the secret.
 */
function unlistedSecrets(
  { entry }: ProjectDeployment,
  { stage, code }: ReadyGround,
  all: readonly ProjectDeployment[],
): ReadonlyMap<string, string> {
  const uses = entry.kind === "flow" ? code.names.get(entry.module) : undefined;
  const found = new Map(uses?.secrets);
  for (const resource of uses?.resources ?? [])
    for (const name of resourceSecrets(resource, stage?.resources[resource]))
      if (!found.has(name)) found.set(name, `resource "${resource}"`);
  const ofModule = all.filter(
    (one) => entry.kind === "flow" && one.entry.kind === "flow" && one.entry.module === entry.module,
  );
  for (const { settings } of ofModule) for (const { name } of settings.secrets ?? []) found.delete(name);
  return found;
}

function unlistedLacks(
  deployment: ProjectDeployment,
  ground: ReadyGround,
  all: readonly ProjectDeployment[],
): Lack[] {
  const owner = deploymentNameOf(deployment.settings);
  return [...unlistedSecrets(deployment, ground, all)].map(([name, user]) => ({
    about: "secret",
    what: `"${owner}" uses the secret "${name}" (${user}) but does not list it. Runs that read it fail.`,
    next: `Add ${ground.configFile.endsWith(".ts") ? `\`secrets: ["${name}"]\`` : `\`secrets = ["${name}"]\``} to the deployment in ${ground.configFile}.`,
  }));
}

/** The workers that lack something: by name, or all of the pool's. */
function lackText(lacking: readonly Worker[], all: readonly Worker[], pool: string): string {
  if (lacking.length === all.length)
    return all.length === 1 ? `the worker of pool "${pool}"` : `every worker of pool "${pool}"`;
  const names = quoted(lacking.map(({ name }) => name));
  return lacking.length === 1
    ? `the worker ${names} of pool "${pool}"`
    : `the workers ${names} of pool "${pool}"`;
}

/** What the online workers of a pool lack for a deployment's runs. */
function poolLacks(
  { settings }: ProjectDeployment,
  {
    pool,
    workers,
    ground: { registry, isDev },
  }: { pool: string; workers: readonly Worker[] | null; ground: ReadyGround },
): Lack[] {
  const owner = deploymentNameOf(settings);
  if (workers === null)
    return [
      {
        about: "pool",
        what: `The pool "${pool}" of "${owner}" does not exist.`,
        next: `Create it with \`towpath pool create ${pool}\`.`,
      },
    ];
  if (workers.length === 0)
    return [
      {
        about: "pool",
        what: `The pool "${pool}" of "${owner}" has no worker online, so its runs wait.`,
        next: `Start one with \`towpath worker start --pool ${pool}\`.`,
      },
    ];
  const found: Lack[] = [];
  for (const { name } of settings.secrets ?? []) {
    const lacking = workers.filter(({ secrets }) => secrets !== null && !resolvesSecret(secrets, name));
    if (lacking.length === 0) continue;
    found.push({
      about: "secret",
      what: `The secret "${name}" of "${owner}" has no value on ${lackText(lacking, workers, pool)}. ${lacking.length === workers.length ? "Runs fail." : "Runs go to the other workers of the pool."}`,
      next: isDev
        ? `Stop \`towpath dev\`, set the variable ${secretVariable(name)}, and start it again.`
        : `Add it under "secrets" in the worker's configuration, or start the worker with ${secretVariable(name)}.`,
    });
  }
  const lacking = workers.filter(({ registries }) => registries?.includes(registry.name) === false);
  if (lacking.length > 0)
    found.push({
      about: "registry",
      what: `The code registry "${registry.name}" of "${owner}" is not configured on ${lackText(lacking, workers, pool)}. Runs fail there.`,
      next: `Add it under "registries" in the worker's configuration, and restart the worker.`,
    });
  return found;
}

/** The online workers of a pool. Null if there is no such pool. */
async function onlineWorkers(client: Client, pool: string): Promise<readonly Worker[] | null> {
  try {
    const { items } = await client.listWorkers({ params: { name: pool }, query: { limit: LIMITS.pageRows } });
    return items.filter(({ online }) => online);
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "pool-not-found") return null;
    throw failure;
  }
}

/**
 * What runs of these deployments will lack: secrets that a deployment does not list or a worker does not have, a pool
 * without an online worker, a code registry that a worker does not know.
 */
export async function findLacks(
  client: Client,
  args: { deployments: readonly ProjectDeployment[]; ground: ReadyGround },
): Promise<Lack[]> {
  const { deployments, ground } = args;
  const found = deployments.flatMap((one) => unlistedLacks(one, ground, deployments));
  const pools = new Set(deployments.flatMap((one) => poolsOf(one, ground)));
  for (const pool of pools) {
    const workers = await onlineWorkers(client, pool);
    const users = deployments.filter((one) => poolsOf(one, ground).includes(pool));
    // One sentence about an empty pool is enough.
    const asked = workers === null || workers.length === 0 ? users.slice(0, 1) : users;
    found.push(...asked.flatMap((one) => poolLacks(one, { pool, workers, ground })));
  }
  return found;
}

async function namedLimits(client: Client): Promise<readonly string[]> {
  const found: Limit[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const query = {
      limit: LIMITS.pageRows,
      kind: "named" as const,
      ...(cursor === undefined ? {} : { cursor }),
    };
    const page = await client.listLimits({ query });
    found.push(...page.items);
    if (page.next === null) break;
    cursor = page.next;
  }
  return found.map(({ name }) => name);
}

/** The limits of the tasks that an entrypoint reaches. */
function limitUses(
  entry: ProjectDeployment["entry"],
  { tasks, python }: { tasks: ProjectCode["tasks"]; python: Project["python"] },
): readonly { readonly limit: string; readonly task: string }[] {
  if (entry.kind === "python")
    return python.find((one) => one.module === entry.module && one.function === entry.function)?.limits ?? [];
  const names = entry.kind === "flow" ? Object.keys(tasks.get(entry.module) ?? {}) : [];
  return names.flatMap((task) => declaredLimits(task).map((limit) => ({ limit, task })));
}

/**
 * Checks that the limits of all tasks exist. Registering checks those of deployments.
 * @throws Failure that names the first missing limit and its task.
 */
export async function checkTaskLimits(
  client: Client,
  args: {
    deployments: readonly ProjectDeployment[];
    tasks: ProjectCode["tasks"];
    python: Project["python"];
  },
): Promise<void> {
  const uses = args.deployments.flatMap(({ entry, settings }) =>
    limitUses(entry, args).map((use) => ({ ...use, deployment: deploymentNameOf(settings) })),
  );
  if (uses.length === 0) return;
  const known = await namedLimits(client);
  const missing = uses.find(({ limit }) => !known.includes(limit));
  if (missing === undefined) return;
  const near = closest(missing.limit, known);
  throw new Failure(
    `The limit "${missing.limit}" of the task "${missing.task}" in "${missing.deployment}" does not exist.`,
    {
      exit: "notFound",
      code: "limit-not-found",
      next: [
        ...(near === null ? [] : [`did you mean "${near}"?`]),
        `\`towpath limit set ${missing.limit} SLOTS\` creates it`,
        "nothing was registered",
      ],
    },
  );
}
