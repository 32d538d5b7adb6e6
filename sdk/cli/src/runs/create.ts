import type { Client } from "@towpath/client";
import { closest, type Deployment, LIMITS, Problem, type Run, uuidv7 } from "@towpath/contract";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { durationOf, nearInstantOf } from "../schedules/timing.ts";
import { parseParameters } from "./parameters.ts";

/** The names of the first page of deployments, for suggestions. */
async function deploymentNames(client: Client): Promise<string[]> {
  const { items } = await client.listDeployments({ query: { limit: LIMITS.pageRows } });
  return items.map(({ name }) => name);
}

/** Reads a deployment. @throws Failure that suggests a similar name. */
export async function findDeployment(client: Client, name: string): Promise<Deployment> {
  try {
    return await client.getDeployment({ params: { name } });
  } catch (failure) {
    const unknown =
      failure instanceof Problem && ["deployment-not-found", "bad-request"].includes(failure.code);
    if (!unknown) throw failure;
    const names = await deploymentNames(client);
    const near = closest(name, names);
    const next = near
      ? [`did you mean "${near}"? \`towpath run ${near}\``]
      : names.length > 0
        ? [`deployments: ${names.slice(0, 20).join(", ")}`]
        : ["nothing is deployed yet; `towpath deploy` registers a project's deployments"];
    const code = "deployment-not-found";
    throw new Failure(`There is no deployment "${name}".`, { exit: "notFound", code, next, cause: failure });
  }
}

/** The arguments of `towpath run`. */
export interface RunRequest {
  readonly deployment: string;
  readonly given: readonly string[];
  readonly tags: readonly string[];
  readonly priority?: number | undefined;
  readonly queue?: string | undefined;
  /** A time in ISO 8601, or a duration from now such as `30m`. */
  readonly at?: string | undefined;
  /** A duration such as `30m`. */
  readonly expireAfter?: string | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** Parses `--expire-after` into milliseconds. @throws Failure if it is not a duration. */
export function expireAfterOf(text: string): number {
  return durationOf("--expire-after", text);
}

/** Parses `--at` into the field of a request. @throws Failure if it is not a time. */
export function scheduledAtOf(at: string | undefined, nowMs: number): { scheduledAt?: string } {
  return at === undefined
    ? {}
    : { scheduledAt: nearInstantOf("--at", { text: at, nowMs, direction: "ahead" }) };
}

/** Checks the parameters against the deployment's schema, then creates the run. */
export async function createRun(invocation: Invocation, client: Client, request: RunRequest): Promise<Run> {
  const deployment = await findDeployment(client, request.deployment);
  const parameters = await parseParameters(deployment.name, {
    schema: deployment.parameters,
    given: request.given,
  });
  return client.createRun({
    body: {
      id: uuidv7(invocation.clock.nowMs()),
      deployment: deployment.name,
      parameters,
      tags: [...request.tags],
      ...scheduledAtOf(request.at, invocation.clock.nowMs()),
      ...(request.priority === undefined ? {} : { priority: request.priority }),
      ...(request.queue === undefined ? {} : { queue: request.queue }),
      ...(request.expireAfter === undefined ? {} : { expireAfterMs: expireAfterOf(request.expireAfter) }),
      ...(request.idempotencyKey === undefined ? {} : { idempotencyKey: request.idempotencyKey }),
    },
  });
}
