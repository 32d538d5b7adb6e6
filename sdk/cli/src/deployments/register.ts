import type { Client } from "@towpath/client";
import {
  type Deployment,
  type DeploymentVersion,
  deploymentNameOf,
  type Keyring,
  Problem,
  type Spec,
} from "@towpath/contract";
import { payloadHash } from "@towpath/contract/ledger";
import type { DeployOutcome } from "towpath/deploy";
import { Failure } from "../failure.ts";
import { type PublicKey, readSigned, type SigningKey, signSpec } from "../identity/signing-key.ts";
import { expiryNotes } from "./expiry.ts";
import { floorFor } from "./floor.ts";
import {
  appendLine,
  type ClaimedLatest,
  entryOf,
  type LedgerUse,
  type NextNumber,
  nextNumber,
  type Origins,
  readLedger,
} from "./ledger.ts";
import type { ProjectDeployment } from "./project.ts";
import { isSealedWhole, openOwnSpec, sealSpec } from "./seal-spec.ts";
import { buildSpec, differences, type SpecGround, saysTheSame } from "./spec.ts";

/** How often a registration is repeated after a conflict about its version number or its floor. */
const CONFLICTS_MAX = 5;

/** What registering the deployments of a project needs. */
export interface Registration {
  readonly client: Client;
  readonly key: SigningKey;
  readonly plan: boolean;
  readonly byReach?: boolean;
  readonly ledger: LedgerUse | null;
  /** Seals what a spec says in values, before it is signed. Null: specs stay plain. */
  readonly keyring: Keyring | null;
  readonly ground: Omit<SpecGround, "version" | "issuedAt" | "floor" | "expiresAt">;
  /** How long a signed version is valid, milliseconds. Null: without a limit. */
  readonly validMs: number | null;
  /** The most versions that a floor may stay behind the new one. */
  readonly floorLag: number;
  readonly nowMs: () => number;
  /** What the user should know, filled during the registration. Whole sentences. */
  readonly notes: string[];
}

async function latestOf(client: Client, name: string): Promise<Deployment | null> {
  try {
    return await client.getDeployment({ params: { name } });
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "deployment-not-found") return null;
    throw failure;
  }
}

/**
 * The number of the last version: of the latest one, or of a deployment that was removed. A removed one continues its numbers,
 * because workers refuse a number below the floor that they know.
 */
async function lastNumber(client: Client, { name, latest }: { name: string; latest: number | undefined }) {
  if (latest !== undefined) return latest;
  try {
    const { items } = await client.listVersions({ params: { name }, query: { limit: 1 } });
    return items[0]?.version ?? 0;
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "deployment-not-found") return 0;
    throw failure;
  }
}

/**
 * The spec of a version, if it was signed with one of these keys. The control plane is not trusted: the signature must be ours, and
 * the spec must be for that version of that deployment.
 */
export async function ownSpec(
  jws: string,
  args: { name: string; version: number; workspaceId: string; keys: readonly PublicKey[] },
): Promise<Spec | null> {
  const { name, version, workspaceId, keys } = args;
  const spec = await readSigned(jws, ...keys);
  const isIt =
    spec?.workspaceId === workspaceId && deploymentNameOf(spec) === name && spec.version === version;
  return isIt ? spec : null;
}

/** What the control plane has of a deployment. */
export interface Said {
  readonly latest: DeploymentVersion | undefined;
  readonly claimed: ClaimedLatest;
  /** The spec of the latest version, if it was signed with one of the keys. */
  readonly before: Spec | null;
}

/** Reads what the control plane has of a deployment. */
export async function readSaid(
  { client, key }: Pick<Registration, "client" | "key">,
  { name, workspace, keys = [key] }: { name: string; workspace: string; keys?: readonly PublicKey[] },
): Promise<Said> {
  const latest = (await latestOf(client, name))?.latest;
  const version = await lastNumber(client, { name, latest: latest?.version });
  const jws = version === 0 ? null : (await client.getSpec({ params: { name, version } })).spec;
  const isOwn = jws !== null && keys.some(({ kid }) => kid === latest?.keyId);
  const before = isOwn ? await ownSpec(jws, { name, version, workspaceId: workspace, keys }) : null;
  return { latest, before, claimed: { name, workspace, version, hash: jws && payloadHash(jws) } };
}

/** The number of the next spec, and what the ledger says of the last one. */
export async function numberFor(
  { ledger }: Pick<Registration, "ledger">,
  claimed: ClaimedLatest,
): Promise<NextNumber> {
  if (ledger === null) return { version: claimed.version + 1, last: null, notes: [] };
  return nextNumber(await readLedger(ledger.file), { claimed, use: ledger });
}

/**
 * Signs a spec, enters it in the ledger, and registers it.
 * @throws Problem of `registerVersion`; Failure of `appendLine`.
 */
export async function signAndRegister(
  args: Pick<Registration, "client" | "key" | "ledger">,
  { spec, ...origins }: { spec: Spec } & Origins,
): Promise<Deployment> {
  const { client, key, ledger } = args;
  const jws = await signSpec(spec, key);
  const hash = payloadHash(jws) ?? "";
  if (ledger !== null) await appendLine(ledger.file, entryOf(spec, { hash, keyId: key.kid, ...origins }));
  const keepRuns = origins.floorBy === "runs" ? { keepRuns: true } : {};
  return await client.registerVersion({ body: { spec: jws, ...keepRuns } });
}

/** When a spec is signed, and when it expires unless the deployment says so itself. */
export function timesOf({ nowMs, validMs }: Pick<Registration, "nowMs" | "validMs">) {
  const signedMs = nowMs();
  const at = (ms: number) => new Date(ms).toISOString();
  return { issuedAt: at(signedMs), expiresAt: validMs === null ? null : at(signedMs + validMs) };
}

async function registerOnce(args: Registration, deployment: ProjectDeployment): Promise<DeployOutcome> {
  const { client, key, ground, ledger } = args;
  const name = deploymentNameOf(deployment.settings);
  const { latest, before: stored, claimed } = await readSaid(args, { name, workspace: ground.workspaceId });
  // A spec with a key that is not here counts as another one.
  const before = stored && (await openOwnSpec(args.keyring, stored).catch(() => null));
  const { version, last, notes } = await numberFor(args, claimed);
  const floor = await floorFor(client, {
    name,
    version,
    given: deployment.settings.floor,
    last,
    isKept: ledger !== null,
    lagMax: args.floorLag,
  });
  const times = timesOf(args);
  const spec = buildSpec(deployment, { ...ground, version, floor: floor.floor, ...times });
  const given = { floor: floor.by === "author", expiresAt: deployment.settings.expiresAt !== undefined };
  const changed = before && differences(before, spec, given);
  const { digest } = spec.code;
  // A version that the control plane has lost is not the latest that was signed.
  const isKnown = last === null || claimed.version >= last.version;
  const isSealed = args.keyring === null || stored === null || isSealedWhole(stored);
  if (latest && before && isKnown && isSealed && saysTheSame(before, spec, given)) {
    args.notes.push(...expiryNotes(before, args.nowMs()));
    return {
      deployment: name,
      version: latest.version,
      status: "unchanged",
      digest: before.code.digest,
      keyId: latest.keyId,
      changed,
      wasRemoved: false,
    };
  }
  const wasRemoved = latest === undefined && claimed.version > 0;
  const outcome = { deployment: name, version, digest, keyId: key.kid, changed, wasRemoved };
  args.notes.push(...notes, ...floor.notes);
  if (args.plan) return { ...outcome, status: "planned" };
  const { reach, ...rest } = spec;
  const signed = args.byReach === true && reach !== undefined ? { ...rest, reach } : rest;
  await signAndRegister(args, {
    spec: await sealSpec(args.keyring, signed),
    floorBy: floor.by,
    expiresBy: given.expiresAt ? "author" : "project",
  });
  return { ...outcome, status: "registered" };
}

/** What a second attempt may put right: another deploy came first, or a run was created. */
function isRace(failure: unknown): boolean {
  // Another deploy of this folder has used the number.
  if (failure instanceof Failure) return failure.code === "ledger-raced";
  return failure instanceof Problem && ["version-conflict", "runs-below-floor"].includes(failure.code);
}

/** Signs and registers the next version of a deployment, if it differs from the latest. */
export async function register(args: Registration, deployment: ProjectDeployment): Promise<DeployOutcome> {
  for (let conflict = 1; ; conflict++) {
    try {
      return await registerOnce(args, deployment);
    } catch (failure) {
      if (!isRace(failure) || conflict >= CONFLICTS_MAX) throw failure;
    }
  }
}
