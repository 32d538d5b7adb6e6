import { z } from "zod";
import {
  DeploymentName,
  Id,
  Instant,
  JsonObject,
  JsonValue,
  Name,
  PageQuery,
  StageQuery,
} from "../kernel/names.ts";
import { sealable } from "../sealing/fields.ts";
import { CodePin, Entry, SignedSpec } from "./spec.ts";

/** One registered version of a deployment. */
export const DeploymentVersion = z.object({
  id: Id,
  version: z.int(),
  keyId: z
    .string()
    .describe(
      "The `kid` of the signing key, from the signature's header. Workers decide whether they trust it.",
    ),
  code: CodePin,
  entry: Entry,
  expiresAt: Instant.nullable()
    .optional()
    .describe(
      "When workers begin to refuse it. Null: never. Missing: a control plane of an earlier release.",
    ),
  registeredAt: Instant,
  registeredBy: z.string().describe("Name of the API key that registered it."),
});
export type DeploymentVersion = z.infer<typeof DeploymentVersion>;

/** A named spec with versions. */
export const Deployment = z.object({
  id: Id,
  name: DeploymentName.describe("With its stage: `churn@prod`, or `churn` without one."),
  pool: Name.describe("The pool where its runs wait: the first that its latest spec names."),
  latest: DeploymentVersion,
  parameters: sealable("schema", JsonObject).describe("JSON Schema of the parameters of the latest version."),
  dueInput: z.boolean().describe("The flow computes the parameters of scheduled runs itself, on the worker."),
  createdAt: Instant,
});
export type Deployment = z.infer<typeof Deployment>;

/** Filters of the list of deployments. */
export const DeploymentQuery = PageQuery.extend({
  deployment: Name.optional().describe("Only those with this name in their project, of every stage."),
  stage: StageQuery,
});

/** The largest version number. */
const VERSION_MAX = 2_147_483_647;

/** Which version of which deployment. */
export const VersionParams = z.object({
  name: DeploymentName,
  version: z.coerce.number().int().min(1).max(VERSION_MAX),
});

/** The earlier version to compare with. */
export const VersionQuery = z.object({
  since: VersionParams.shape.version.optional().describe("Omitted: the previous version."),
});

/** The most differing fields that are listed. */
export const specChangesMax = 500;

/** One field in which two specs differ. */
export const SpecChange = z.object({
  field: z.string().describe("Its dotted path in the spec."),
  before: JsonValue.optional().describe("Missing: the earlier spec does not have it."),
  after: JsonValue.optional().describe("Missing: the later spec does not have it."),
  withheld: z.boolean().describe("The values are not shown, because they are environment variables."),
});
export type SpecChange = z.infer<typeof SpecChange>;

/** One version with its spec, and the differences from an earlier version. */
export const VersionDetail = z.object({
  version: DeploymentVersion,
  spec: JsonObject.describe(
    "The signed spec without the values of `env`. A key that may deploy can read those with `getSpec`.",
  ),
  since: z.int().nullable().describe("The version that it is compared with. Null: there is none."),
  changes: z
    .array(SpecChange)
    .describe(`In the spec's order, at most ${specChangesMax}. The version number and times are left out.`),
});
export type VersionDetail = z.infer<typeof VersionDetail>;

/** A version's signed spec, which can be verified with the public key. */
export const SignedVersion = z.object({ spec: SignedSpec });
export type SignedVersion = z.infer<typeof SignedVersion>;

/** Registers the next version. The same signed spec again returns the existing version. */
export const RegisterVersion = z.object({
  spec: SignedSpec,
  keepRuns: z
    .boolean()
    .optional()
    .describe("Refuse a version whose `floor` would stop runs that have not ended. Missing: register it."),
});
export type RegisterVersion = z.infer<typeof RegisterVersion>;
