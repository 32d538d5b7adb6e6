import { join } from "node:path";
import { deploymentNameOf, Spec } from "@towpath/contract";
import { nextLine, parseLedger, payloadHash } from "@towpath/contract/ledger";
import { z } from "zod";
import { generateSigningKey, publicHalf, type SigningKey } from "../identity/signing-key.ts";
import { readIfThere, writeWhole } from "../kernel/state-folder.ts";
import { detachedSignature } from "./forge.ts";
import type { Stage } from "./stage.ts";

/** The deployment whose oldest version is in the worker's configuration. */
export const FLOORED = "configured-floor";
/** The oldest version of it. */
export const LEAST_VERSION = 5;
/** The deployment that two people must sign. */
export const SIGNED_BY_TWO = "missing-signature";

/** What a key of the trust file has beside its public half. */
type Limits = Partial<Record<"notBefore" | "notAfter" | "revokedAt", string>>;

const fileOf = (stage: Stage, name: string) => join(stage.ground.folder, `${name}-${stage.name}`);

/** Appends a line to the ledger of a stage. */
async function append(stage: Stage, entry: Parameters<typeof nextLine>[1]): Promise<void> {
  const file = fileOf(stage, "ledger");
  const text = (await readIfThere(file)) ?? "";
  await writeWhole(file, `${text}${nextLine(parseLedger(text), entry)}\n`);
}

const Header = z.object({ kid: z.string() });

function namesOf(jws: string) {
  const [header = "", payload = ""] = jws.split(".");
  const read = (part: string): unknown => JSON.parse(Buffer.from(part, "base64url").toString());
  const spec = Spec.parse(read(payload));
  const { version, workspaceId: workspace } = spec;
  const deployment = deploymentNameOf(spec);
  const named = { deployment, workspace, version, spec: payloadHash(jws) ?? "" };
  return { named, spec, keyId: Header.parse(read(header)).kid };
}

/** Writes the line of a signed spec, as a deploy does. */
async function recordSpec(stage: Stage, jws: string): Promise<void> {
  const { named, spec, keyId } = namesOf(jws);
  const { floor, expiresAt, issuedAt: at } = spec;
  const by = { floorBy: "author", expiresBy: "author" } as const;
  await append(stage, { ...named, ...by, floor, expiresAt, code: spec.code.digest, keyId, at });
}

/** Writes a further signature on a spec, as `towpath deployments sign` does. */
export async function recordSignature(stage: Stage, args: { jws: string; key: SigningKey }): Promise<void> {
  const { jws, key } = args;
  const { named, spec } = namesOf(jws);
  const signature = detachedSignature(jws, key);
  await append(stage, { kind: "signature", ...named, signature, keyId: key.kid, at: spec.issuedAt });
}

/** Writes the worker's trust file. Its worker reads it again. */
export async function trustKeys(
  stage: Stage,
  keys: readonly (readonly [key: SigningKey, limits: Limits])[],
): Promise<void> {
  const listed = keys.map(([key, limits]) => ({ ...publicHalf(key), ...limits }));
  await writeWhole(fileOf(stage, "trust.json"), JSON.stringify({ keys: listed }));
}

/** Gives the worker of a stage everything that a worker can know by itself: workspace, floors, ledger, signatures and a trust file. */
export async function trustLedger(stage: Stage): Promise<void> {
  const { settings, workspaceId } = stage.ground;
  await writeWhole(fileOf(stage, "ledger"), "");
  await trustKeys(stage, [[await generateSigningKey(), {}]]);
  const listed = z.array(z.unknown()).parse(settings.trustedKeys);
  stage.record = (jws) => recordSpec(stage, jws);
  stage.settings = {
    ...settings,
    workspace: workspaceId,
    trustedKeys: [...listed, { file: fileOf(stage, "trust.json") }],
    ledger: fileOf(stage, "ledger"),
    floors: { ...z.record(z.string(), z.int()).catch({}).parse(settings.floors), [FLOORED]: LEAST_VERSION },
    signatures: { [SIGNED_BY_TWO]: 2 },
  };
}
