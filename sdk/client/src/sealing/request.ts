import { KEY_PURPOSES, type MarkedValue, ORIGINS, type RouteName, type SealedPlace } from "@towpath/contract";
import type { LooseInput } from "../loose-input.ts";

/** A place in all but the workspace and the field, and what makes a repeated request recognizable. */
export interface RequestPlace extends Pick<SealedPlace, "deployment" | "origin"> {
  /** For what the code of the request's key is made. */
  readonly keyPurpose?: (workspace: string) => string;
  /** The idempotency key of the request, or its id. A MAC of it and the value goes with the sealed value. */
  readonly fingerprintOf?: string;
}

/** Finds the deployment of a run. */
export type DeploymentOf = (runId: string) => Promise<string>;

type PlaceIn = (
  input: { readonly params: Record<string, unknown>; readonly body: Record<string, unknown> },
  at: { readonly marked: MarkedValue; readonly deploymentOf: DeploymentOf },
) => Promise<RequestPlace>;

const text = (value: unknown) => String(value ?? "");

/** Where the values belong that a person or a program sends, by route. A test asks for every route with such values. */
const PLACES: Partial<Record<RouteName, PlaceIn>> = {
  createRun: async ({ body }) => ({
    deployment: text(body.deployment),
    origin: ORIGINS.run(text(body.id)),
    keyPurpose: KEY_PURPOSES.request,
    fingerprintOf: text(body.idempotencyKey ?? body.id),
  }),
  createRuns: async ({ body }, { marked }) => {
    const [, index] = marked.path;
    const run: unknown = Array.isArray(body.runs) && typeof index === "number" ? body.runs[index] : undefined;
    const id = text(Object(run).id);
    return { deployment: text(body.deployment), origin: ORIGINS.run(id), fingerprintOf: id };
  },
  rerunRun: async ({ params, body }, { deploymentOf }) => ({
    deployment: await deploymentOf(text(params.runId)),
    origin: ORIGINS.run(text(body.id)),
    fingerprintOf: text(body.id),
  }),
  setSchedule: async ({ params, body }) => ({
    deployment: text(params.name),
    origin: ORIGINS.schedule(text(body.name)),
  }),
  createBackfill: async ({ params, body }) => ({
    deployment: text(params.name),
    origin: ORIGINS.backfill(text(body.id)),
  }),
  answerWait: async ({ params }, { deploymentOf }) => ({
    deployment: await deploymentOf(text(params.runId)),
    origin: ORIGINS.wait(text(params.runId), text(params.waitId)),
  }),
  sendEvent: async ({ body }) => ({
    deployment: "",
    origin: ORIGINS.event(text(body.name)),
    fingerprintOf: text(body.id),
    keyPurpose: (workspace) => KEY_PURPOSES.event(workspace, text(body.name)),
  }),
};

/** The routes whose values this client seals. */
export const SEALED_ROUTES = Object.keys(PLACES);

/** Where a value of a request belongs. Null: this client does not seal this route. */
export async function placeInRequest(
  name: RouteName,
  input: LooseInput,
  at: { marked: MarkedValue; deploymentOf: DeploymentOf },
): Promise<RequestPlace | null> {
  const place = PLACES[name];
  return place === undefined
    ? null
    : await place({ params: { ...input.params }, body: { ...Object(input.body) } }, at);
}
