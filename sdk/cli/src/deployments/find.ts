import type { Client } from "@towpath/client";
import {
  closest,
  type Deployment,
  DeploymentName,
  deploymentPartsOf,
  LIMITS,
  Name,
  Problem,
} from "@towpath/contract";
import { Failure } from "../failure.ts";
import { runCommand } from "../runs/parameters.ts";

/** The names of the first page of deployments, for suggestions. */
async function deploymentNames(client: Client): Promise<string[]> {
  const { items } = await client.listDeployments({ query: { limit: LIMITS.pageRows } });
  return items.map(({ name }) => name);
}

/** These whole names as a person writes them: `churn@` for a deployment without a stage that shares its name with others. */
function writtenNames(names: readonly string[]): string[] {
  const isShared = (name: string) => names.some((other) => other.startsWith(`${name}@`));
  return names.map((name) => (isShared(name) ? `${name}@` : name));
}

/** The control plane's sentence about a deployment that was removed, and the next step. Null: it was never there. */
function removalOf(cause: unknown): { message: string; next: string } | null {
  const fault = cause instanceof Problem ? cause.faults[0] : undefined;
  if (fault?.suggestion === undefined || !fault.message.includes(" was removed")) return null;
  return { message: `Deployment ${fault.message}.`, next: fault.suggestion };
}

async function notFound(client: Client, name: string, cause?: unknown): Promise<Failure> {
  const removal = removalOf(cause);
  if (removal !== null) {
    const { message, next } = removal;
    return new Failure(message, { exit: "notFound", code: "deployment-not-found", next: [next], cause });
  }
  const names = writtenNames(await deploymentNames(client));
  const near = closest(name, names);
  const next = near
    ? [`did you mean "${near}"?`]
    : names.length > 0
      ? [`deployments: ${names.slice(0, 20).join(", ")}`]
      : ["nothing is deployed yet; `towpath deploy` registers a project's deployments"];
  return new Failure(`There is no deployment "${name}".`, {
    exit: "notFound",
    code: "deployment-not-found",
    next,
    cause,
  });
}

async function read(client: Client, name: string): Promise<Deployment> {
  try {
    return await client.getDeployment({ params: { name } });
  } catch (failure) {
    const unknown =
      failure instanceof Problem && ["deployment-not-found", "bad-request"].includes(failure.code);
    throw unknown ? await notFound(client, name, failure) : failure;
  }
}

/** The only deployment of this name, whatever its stage. @throws Failure if there are several. */
async function readOnly(client: Client, deployment: string): Promise<Deployment> {
  if (!Name.safeParse(deployment).success) throw await notFound(client, deployment);
  const page = await client.listDeployments({ query: { deployment, limit: LIMITS.pageRows } });
  // A control plane of an earlier release ignores the filter.
  const items = page.items.filter(({ name }) => deploymentPartsOf(name).deployment === deployment);
  const [first, ...others] = items;
  if (first === undefined) throw await notFound(client, deployment);
  if (others.length === 0) return first;
  const names = writtenNames(items.map(({ name }) => name));
  throw new Failure(`"${deployment}" names several deployments: ${names.join(", ")}.`, {
    exit: "usage",
    code: "stage-missing",
    next: [
      `write one of these names${names.includes(`${deployment}@`) ? `; ${deployment}@ is the one without a stage` : ""}`,
    ],
    instead: { written: deployment, names },
  });
}

/** A name as people write it, `churn@` for the deployment without a stage. Null: it does not say which stage. */
function wholeName(written: string): string | null {
  if (!written.includes("@")) return null;
  return written.indexOf("@") === written.length - 1 ? written.slice(0, -1) : written;
}

/**
 * The whole name of a deployment, from its name and `--stage`. Null: neither says which stage.
 * @throws Failure if they name two stages, or if a deployment cannot have this name.
 */
async function namedWholly(client: Client, name: string, stage: string | undefined): Promise<string | null> {
  const whole = wholeName(name);
  if (whole !== null && stage !== undefined && deploymentPartsOf(whole).stage !== stage)
    throw new Failure(`"${name}" already names the stage.`, { exit: "usage", next: ["leave out --stage"] });
  if (whole === null && stage === undefined) return null;
  const full = whole ?? `${name}@${stage}`;
  if (!DeploymentName.safeParse(full).success) throw await notFound(client, whole === null ? full : name);
  return full;
}

/**
 * Reads a deployment. `churn@prod` and `churn@` (without a stage) name one; `churn` means the only deployment of that name.
 * @param stage The stage, if the name has none.
 * @throws Failure if there is none, with a similar name; or if there are several, with their names.
 */
export async function findDeployment(client: Client, name: string, stage?: string): Promise<Deployment> {
  const whole = await namedWholly(client, name, stage);
  return whole === null ? await readOnly(client, name) : await read(client, whole);
}

/** The whole name of a deployment. @throws Failure as `findDeployment`. */
export async function deploymentNamed(client: Client, name: string, stage?: string): Promise<string> {
  return (await namedWholly(client, name, stage)) ?? (await readOnly(client, name)).name;
}

/**
 * A deployment's name for a command that the CLI prints: with the stage, if it has one. Without a stage, it is the name as the
 * person has written it, such as `churn@`.
 * @param found The whole name.
 */
export function typedName(written: string | undefined, found: string | undefined): string | undefined {
  return found?.includes("@") ? found : written;
}

/** `deploymentNamed` for a filter that may be missing. */
export async function deploymentFilter(
  client: Client,
  name: string | undefined,
  stage?: string,
): Promise<{ deployment?: string }> {
  return name === undefined ? {} : { deployment: await deploymentNamed(client, name, stage) };
}

/** The command that starts a run of a deployment, with its required parameters if the control plane answers. */
export async function commandToRun(client: Client, name: string): Promise<string> {
  // This is only a hint: a command that succeeded must not fail here.
  const deployment = await client.getDeployment({ params: { name } }).catch(() => null);
  return runCommand(name, deployment?.parameters ?? {});
}
