import {
  type Assignment,
  deploymentNameOf,
  isDue,
  LIMITS,
  type RemoteTask,
  remoteTaskIn,
  remoteTaskOf,
  SPEC_TYP,
  Spec,
} from "@towpath/contract";
import type { CheckPool } from "@towpath/contract/bounded";
import { payloadHash } from "@towpath/contract/ledger";
import { compactVerify, decodeProtectedHeader } from "jose";
import type { WorkerConfig } from "../config.ts";
import type { Clock } from "../host/index.ts";
import { openSpec, type WorkerKeyring } from "../sealing/index.ts";
import { checkInTime } from "./check-parameters.ts";
import type { Floors } from "./floors.ts";
import { type KnownKey, type TrustedKeys, usableKey } from "./keys.ts";
import { Refusal } from "./refusal.ts";
import type { LedgerBook, LedgerSpec, SignedSpecs } from "./signed-specs.ts";

/** What the worker trusts, from its own configuration and state. */
export interface Trust {
  readonly keys: TrustedKeys;
  /** How many people must have signed a spec, by the deployment's name. Others need one. */
  readonly signatures: Readonly<Record<string, number>>;
  /** The deployers' ledger. Null: not configured. */
  readonly ledger: LedgerBook | null;
  readonly pool: string;
  readonly registries: WorkerConfig["registries"];
  readonly floors: Floors;
  /** The id of the workspace, from the worker's configuration. Undefined: not configured. */
  readonly workspace: string | undefined;
  /** The oldest version of each deployment, from the worker's configuration. */
  readonly leastVersions: Readonly<Record<string, number>>;
  /** Wall clock. Only a spec's expiry is compared with it. */
  readonly clock: Clock;
  /** Verified payloads, by the text whose signature was verified. */
  readonly verified: Map<string, Spec>;
  /** Checks parameters. */
  readonly checks: CheckPool;
  /** Opens the sealed parts of verified specs. Null: this worker has no workspace key. */
  readonly keyring: WorkerKeyring | null;
}

/** How many verified specs are kept. */
const VERIFIED_MAX = 256;

/**
 * Decides whether an assignment may run here. The signature is checked first. Everything after that comes from
 * the signed payload, and the control plane's fields must agree with it.
 * @returns The verified spec. Its floor is on disk by then.
 * @throws Refusal with a sentence that says what to do.
 */
export async function verifyAssignment(
  trust: Trust,
  args: { assignment: Assignment; workspaceId: string },
): Promise<Spec> {
  const spec = await verifyVersion(trust, { ...args.assignment, workspaceId: args.workspaceId });
  await checkRunParameters(spec, { assignment: args.assignment, checks: trust.checks });
  return spec;
}

/** A version of a deployment, and its signed text. */
export interface ClaimedVersion extends Pick<Assignment, "deployment" | "version" | "spec"> {
  readonly workspaceId: string;
  /** The trigger of the run, which may carry out one task in a pool of its own. */
  readonly trigger: Assignment["trigger"] | null;
}

/** Decides whether anything of a version may run here. `verifyAssignment` does the same before it checks parameters. */
export async function verifyVersion(trust: Trust, claimed: ClaimedVersion): Promise<Spec> {
  const keys = await trust.keys.current();
  // Also of a spec that was verified before: a key may have been revoked since.
  const signer = usableKey(keys, { kid: keyIdOf(claimed.spec), nowMs: trust.clock.nowMs() });
  const known = trust.verified.get(claimed.spec);
  const spec = known ?? parseSpec(await verifySignature(signer, claimed.spec));
  checkWorkspace(spec, { trust, claimed });
  checkIdentity(spec, claimed);
  checkPlace(spec, { trust, trigger: claimed.trigger });
  checkAge(spec, trust);
  await checkSigners(trust, { spec, jws: claimed.spec, keys, signer });
  const opened = known ?? openSpec(trust.keyring, spec);
  remember(trust, claimed.spec, opened);
  await trust.floors.raise({
    workspaceId: spec.workspaceId,
    deployment: deploymentNameOf(spec),
    floor: spec.floor,
  });
  return opened;
}

function remember({ verified }: Trust, text: string, spec: Spec): void {
  // The least recently used one is dropped.
  verified.delete(text);
  verified.set(text, spec);
  const [oldest] = verified.keys();
  if (verified.size > VERIFIED_MAX && oldest !== undefined) verified.delete(oldest);
}

async function verifySignature({ key }: KnownKey, jws: string): Promise<Uint8Array> {
  try {
    const { payload } = await compactVerify(jws, key, { algorithms: ["EdDSA"] });
    return payload;
  } catch {
    throw new Refusal(
      "bad-signature",
      "The spec's signature is wrong, so the spec was changed after it was signed. Deploy it again.",
    );
  }
}

/** The signer of a further signature. Null: it does not count. */
async function coSigner(
  { keys, jws, nowMs }: { keys: ReadonlyMap<string, KnownKey>; jws: string; nowMs: number },
  signature: string,
): Promise<KnownKey | null> {
  const [, payload = ""] = jws.split(".");
  const whole = signature.replace("..", `.${payload}.`);
  try {
    const known = usableKey(keys, { kid: keyIdOf(whole), nowMs });
    await verifySignature(known, whole);
    return known;
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

/** Whether the spec stands in the ledger, and as many people have signed it as the configuration asks for. */
async function checkSigners(
  trust: Trust,
  args: { spec: Spec; jws: string; keys: ReadonlyMap<string, KnownKey>; signer: KnownKey },
): Promise<void> {
  const { spec, jws, keys, signer } = args;
  const deployment = deploymentNameOf(spec);
  const needed = Object.hasOwn(trust.signatures, deployment) ? (trust.signatures[deployment] ?? 1) : 1;
  const { workspaceId: workspace, version } = spec;
  const named = { workspace, deployment, version, spec: payloadHash(jws) ?? "" };
  const ledger = trust.ledger && (await linesFor(trust.ledger, named));
  if (ledger !== null && !ledger.has(named))
    throw ledger.hasOther(named)
      ? new Refusal(
          "other-in-ledger",
          `The ledger has another spec for version ${version} of "${deployment}", so nobody of you signed this one. Check the ledger with \`towpath ledger verify\`, then deploy again.`,
        )
      : new Refusal(
          "not-in-ledger",
          `Version ${version} of "${deployment}" waits for its line in this worker's copy of the ledger. Commit towpath.ledger.jsonl, and bring the copy up to date. If you know of no such version, cancel the run.`,
        );
  if (needed <= 1) return;
  const nowMs = trust.clock.nowMs();
  const further = await Promise.all(
    (ledger?.signaturesOf(named) ?? []).map((one) => coSigner({ keys, jws, nowMs }, one)),
  );
  // One person may have a key under two names.
  const people = new Set([signer, ...further].flatMap((known) => (known === null ? [] : [known.jwk.x])));
  if (people.size >= needed) return;
  throw new Refusal(
    "missing-signature",
    `Version ${version} of "${deployment}" waits for ${furtherSignatures(needed - people.size)}: it has ${people.size} of the ${needed} that this worker asks for. Another person signs it with \`towpath deployments sign ${deployment} ${version}\` and commits the ledger.`,
  );
}

/** The ledger, read anew if the spec is not there: it may have been signed a moment ago. */
async function linesFor(book: LedgerBook, named: LedgerSpec): Promise<SignedSpecs> {
  const known = await book.current();
  return known.has(named) ? known : await book.latest();
}

function furtherSignatures(count: number): string {
  return count === 1 ? "a further signature" : `${count} further signatures`;
}

function keyIdOf(jws: string): string {
  let header: ReturnType<typeof decodeProtectedHeader>;
  try {
    header = decodeProtectedHeader(jws);
  } catch {
    throw new Refusal("bad-signature", "The spec's signature cannot be read. Deploy it again.");
  }
  if (header.alg !== "EdDSA" || header.typ !== SPEC_TYP || typeof header.kid !== "string") {
    throw new Refusal(
      "bad-signature",
      `The spec's header must say alg EdDSA, typ ${SPEC_TYP} and a kid. Deploy it again with this release's CLI.`,
    );
  }
  return header.kid;
}

function parseSpec(payload: Uint8Array): Spec {
  try {
    return Spec.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload)));
  } catch {
    throw new Refusal(
      "invalid-spec",
      "This worker does not understand the signed spec. Deploy with a CLI of the worker's release, or update the worker.",
    );
  }
}

function checkWorkspace(spec: Spec, { trust, claimed }: { trust: Trust; claimed: ClaimedVersion }) {
  if (spec.workspaceId !== claimed.workspaceId) {
    throw new Refusal("wrong-workspace", "The spec was signed for another workspace. Deploy it to this one.");
  }
  if (trust.workspace !== undefined && spec.workspaceId !== trust.workspace) {
    throw new Refusal(
      "wrong-workspace",
      `The spec was signed for the workspace ${spec.workspaceId}, and "workspace" in this worker's configuration is ${trust.workspace}. Deploy it to that workspace, or correct the configuration.`,
    );
  }
}

function checkIdentity(spec: Spec, claimed: ClaimedVersion) {
  const name = deploymentNameOf(spec);
  if (name !== claimed.deployment) {
    throw new Refusal(
      "wrong-deployment",
      `The spec was signed for deployment "${name}", but the run is of "${claimed.deployment}". Deploy "${claimed.deployment}" again and rerun. If that does not help, ask the operator of the control plane why it sent another spec.`,
    );
  }
  if (spec.version !== claimed.version) {
    throw new Refusal(
      "wrong-version",
      `The spec was signed as version ${spec.version}, but the run is of version ${claimed.version}. Deploy it again and rerun with the new version. If that does not help, ask the operator of the control plane why it sent another spec.`,
    );
  }
}

/** The pools in which the spec lets this run be: those of the flow, or those of one task. */
function poolsOf(spec: Spec, task: RemoteTask | null): readonly string[] {
  if (task === null) return spec.pools;
  const signed = remoteTaskIn(spec, task.name);
  if (signed !== null) return signed.pools;
  throw new Refusal(
    "wrong-task",
    `The spec does not allow a run of its task "${task.name}" alone. Call the task with a pool in the flow, then deploy again.`,
  );
}

function checkPlace(spec: Spec, { trust, trigger }: { trust: Trust; trigger: ClaimedVersion["trigger"] }) {
  const pools = poolsOf(spec, trigger && remoteTaskOf(trigger));
  if (!pools.includes(trust.pool)) {
    throw new Refusal(
      "wrong-pool",
      `The spec may run in ${pools.join(", ")}, not in this worker's pool "${trust.pool}". Deploy it with this pool.`,
    );
  }
  const { registry, kind } = spec.code;
  const allowed = Object.hasOwn(trust.registries, registry) ? trust.registries[registry] : undefined;
  if (allowed?.kind !== kind) {
    throw new Refusal(
      "registry-not-allowed",
      `This worker allows no ${kind} registry called "${registry}". Add it under "registries" in the worker's configuration.`,
    );
  }
}

function checkAge(spec: Spec, trust: Trust) {
  if (spec.expiresAt !== null && Date.parse(spec.expiresAt) <= trust.clock.nowMs()) {
    throw new Refusal("expired-spec", `The spec expired at ${spec.expiresAt}. Deploy it again.`);
  }
  const name = deploymentNameOf(spec);
  const least = Object.hasOwn(trust.leastVersions, name) ? (trust.leastVersions[name] ?? 1) : 1;
  if (spec.version < least) {
    throw new Refusal(
      "below-floor",
      `Version ${spec.version} is older than ${least}, the oldest that "floors" in this worker's configuration allows. Start the run from a later version.`,
    );
  }
  const floor = Math.max(spec.floor, trust.floors.current(spec.workspaceId, name));
  if (spec.version < floor) {
    throw new Refusal(
      "below-floor",
      `Version ${spec.version} is older than ${floor}, the oldest that may still run. Start the run from a later version.`,
    );
  }
}

async function checkRunParameters(
  spec: Spec,
  { assignment, checks }: { assignment: Assignment; checks: CheckPool },
): Promise<void> {
  if (Buffer.byteLength(JSON.stringify(assignment.parameters)) > LIMITS.parametersBytes) {
    throw new Refusal(
      "invalid-parameters",
      `The parameters are longer than ${LIMITS.parametersBytes} bytes of JSON. Pass a ref to a stored value.`,
    );
  }
  // The flow makes these parameters itself, and checks them.
  if (spec.dueInput && isDue(assignment.trigger)) return;
  // A task's arguments are in the store. Its own code checks them.
  if (remoteTaskOf(assignment.trigger) !== null) return;
  const { parameters } = assignment;
  const faults = await checkInTime(checks, { schema: spec.parameters, parameters });
  if (faults.length === 0) return;
  const sentences = faults.map(({ path, message, suggestion }) =>
    suggestion ? `${path}: ${message}; ${suggestion}` : `${path}: ${message}`,
  );
  throw new Refusal("invalid-parameters", sentences.join("\n").slice(0, LIMITS.messageChars));
}
