import type { Client } from "@towpath/client";
import { type Run, uuidv7 } from "@towpath/contract";
import { findDeployment } from "../deployments/find.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { durationOf, nearInstantOf } from "../schedules/timing.ts";
import { parseParameters } from "./parameters.ts";

/** The arguments of `towpath run`. */
export interface RunRequest {
  readonly deployment: string;
  /** The stage, if `deployment` names none. */
  readonly stage?: string | undefined;
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
  const deployment = await findDeployment(client, request.deployment, request.stage);
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
