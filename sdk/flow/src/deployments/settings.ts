import { JsonObject, type SpecInput } from "@towpath/contract";
import { jsonSchemaOf } from "../input/json-schema.ts";
import type { LimitUse } from "../limits/limit-use.ts";
import { InvalidDefinition } from "../problem.ts";
import type { Deployment, SecretUse } from "./deployment.ts";

/** The fields of a signed spec that a project decides; code, entry, version and workspace are added when deploying. */
export type DeploymentSettings = Omit<
  SpecInput,
  "format" | "workspaceId" | "version" | "issuedAt" | "code" | "entry" | "tasks" | "remoteTasks"
>;

function secretOf(use: SecretUse): { name: string; env: string | null } {
  return typeof use === "string" ? { name: use, env: null } : { name: use.name, env: use.env ?? null };
}

function limitOf(use: LimitUse): { name: string; slots: number } {
  return typeof use === "string" ? { name: use, slots: 1 } : { name: use.name, slots: use.slots ?? 1 };
}

/**
 * What a deployment's spec says, its parameters' JSON Schema included.
 * @throws InvalidDefinition if the schema's library cannot tell a JSON Schema.
 */
export async function settingsOf(
  deployment: Deployment,
  project: { readonly pool: string; readonly store?: string | undefined },
): Promise<DeploymentSettings> {
  const { name, pools, secrets, limits, ...rest } = deployment.options;
  const owner = `deployment "${name}"`;
  const parameters = JsonObject.safeParse(await jsonSchemaOf(deployment.input, owner));
  if (!parameters.success)
    throw new InvalidDefinition(`${owner}: its input has a default that JSON cannot hold.`);
  return {
    ...rest,
    deployment: name,
    pools: pools ?? [project.pool],
    store: project.store ?? null,
    secrets: secrets.map(secretOf),
    limits: limits.map(limitOf),
    parameters: parameters.data,
    dueInput: deployment.kind === "flow" && deployment.flow.dueInput !== null,
  };
}
