import { z } from "zod";
import { Id, Instant, JsonObject, Name } from "../kernel/names.ts";
import { CodePin, Entry, SignedSpec } from "./spec.ts";

/** One registered version of a deployment. */
export const DeploymentVersion = z.object({
  id: Id,
  version: z.int(),
  keyId: z
    .string()
    .describe(
      "The `kid` of the signing key, as the signature's header says it. Workers decide whether they trust it.",
    ),
  code: CodePin,
  entry: Entry,
  registeredAt: Instant,
  registeredBy: z.string().describe("Name of the API key that registered it."),
});
export type DeploymentVersion = z.infer<typeof DeploymentVersion>;

/** A named spec with versions. */
export const Deployment = z.object({
  id: Id,
  name: Name,
  pool: Name.describe("The pool where its runs wait: the first that its latest spec names."),
  latest: DeploymentVersion,
  parameters: JsonObject.describe("JSON Schema of the parameters of the latest version."),
  dueInput: z.boolean().describe("Its scheduled runs make their own parameters, on the worker."),
  createdAt: Instant,
});
export type Deployment = z.infer<typeof Deployment>;

/** The largest number a version may have. */
const VERSION_MAX = 2_147_483_647;

/** Which version of which deployment. */
export const VersionParams = z.object({
  name: Name,
  version: z.coerce.number().int().min(1).max(VERSION_MAX),
});

/** A version as it was signed, so that whoever has the public key can see what was registered. */
export const SignedVersion = z.object({ spec: SignedSpec });
export type SignedVersion = z.infer<typeof SignedVersion>;

/** Registers the next version. The same signed spec again answers the version that is there. */
export const RegisterVersion = z.object({ spec: SignedSpec });
export type RegisterVersion = z.infer<typeof RegisterVersion>;
