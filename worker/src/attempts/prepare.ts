import { createHash } from "node:crypto";
import {
  type Assignment,
  type CodePin,
  type Context,
  computeOf,
  deploymentNameOf,
  type NodePackages,
  type Ref,
  type Spec,
  withDefaults,
} from "@towpath/contract";
import { readBootId } from "@towpath/contract/process";
import { CodeError, type CodeRequest, type FetchedCode, fetchCode } from "../code/index.ts";
import type { SecretSource } from "../config.ts";
import {
  bringEnvironment,
  bringPackages,
  checkEnvironment,
  EnvironmentError,
  holdEnvironment,
  holdPackages,
  type Interpreter,
  interpreterFor,
} from "../environments/index.ts";
import {
  type AheadVersion,
  aheadEnvironment,
  type BroughtVersion,
  NODE,
  type RunnerProcess,
  type RunnerProgram,
} from "../launch/index.ts";
import { readSecretsOf } from "../registry-secrets.ts";
import { maskOf, openParameters } from "../sealing/index.ts";
import { createRedactor, type Redactor, readSecret } from "../secrets/index.ts";
import type { RefSigner } from "../store/sign-refs.ts";
import { Refusal, verifyAssignment } from "../trust/index.ts";
import { argumentOf } from "./attempt-refs.ts";
import type { StoredAttempt } from "./attempt-store.ts";
import { originOf } from "./chain.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { checkedParameters } from "./parameter-refs.ts";
import { isOver } from "./phases.ts";
import { storeOfSpec } from "./store-access.ts";

/** What an attempt needs before it may be started. */
export interface Prepared {
  readonly spec: Spec;
  readonly workspaceId: string;
  /** The parameters in plain. */
  readonly parameters: Assignment["parameters"];
  /** Whether plain answers are refused. */
  readonly sealedOnly: boolean;
  /** Brings the code at the first call. Resolves once it is there and unchanged. */
  readonly code: () => Promise<BroughtCode>;
  /** The interpreter of Python that its entry needs. Null: none. */
  readonly interpreter: () => Promise<Interpreter | null>;
  /** The folder of the npm packages that its entry needs, installed at the first call. Null: none. */
  readonly packages: () => Promise<string | null>;
  readonly secrets: ReadonlyMap<string, string>;
  /** The store, with its credentials. */
  readonly store: Context["store"];
  /** Signs and checks refs. */
  readonly refs: RefSigner;
  /** The arguments of a remote task, checked. Null: it runs a whole flow. */
  readonly argument: Ref | null;
  readonly redactor: Redactor;
}

/** Where the code lies, and whether it was there before. */
export type BroughtCode = Pick<FetchedCode, "dir" | "cached">;

/**
 * Verifies an assignment, then resolves its secrets. The code is fetched later, on demand. That rejects with a
 * Refusal, a `CodeError` of kind `unavailable` or the signal's reason.
 * @throws Refusal when it must not run; `NoWorkspaceKey` when its values are sealed with a key that is not here; `DoesNotFit` when its signed amounts are not free; `SecretsMissing` when one of its
 * secrets has no value here; `SecretUnavailable` when a secret cannot be read now, or the credentials of its store.
 */
export async function prepareAttempt(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  assignment: Assignment,
): Promise<Prepared> {
  const { workspaceId, sealed = false } = await deps.connection.session();
  const sealedOnly = deps.config.sealedOnly || (sealed && deps.keyring !== null);
  const parameters = openParameters(deps.keyring, { assignment, workspaceId, sealedOnly });
  const spec = await verifyAssignment(deps.trust, { assignment: { ...assignment, parameters }, workspaceId });
  claimed.specStore = spec.store;
  checkEnvironment(deps.config, spec.entry);
  // A hook needs only a slot: its run's amounts may be taken by others.
  if (assignment.onlyHook === undefined) deps.allot(claimed, computeOf(spec, assignment.trigger));
  await keepEnvironment(deps, claimed, spec);
  const secrets = await deps.secrets.resolve(spec.secrets.map(({ name }) => name));
  const { store, secrets: ofStore, refs } = await storeOfSpec(deps, { spec, originId: originOf(assignment) });
  const hide = maskOf(deps.keyring, { assignment, workspaceId });
  const redactor = createRedactor(new Map([...secrets, ...ofStore]), hide);
  const argument = await argumentOf({ assignment, spec, refs }, redactor);
  let bringing: Promise<BroughtCode> | undefined;
  const code = () => {
    bringing ??= bringCode(deps, claimed, spec.code);
    return bringing;
  };
  let finding: Promise<Interpreter | null> | undefined;
  const interpreter = () => {
    finding ??= interpreterOf(deps, claimed, { entry: spec.entry, code });
    return finding;
  };
  let installing: Promise<string | null> | undefined;
  const packages = () => {
    installing ??= packagesOf(deps, claimed, { entry: spec.entry, code });
    return installing;
  };
  const checked = checkedParameters(refs, { assignment, parameters });
  const opened = { parameters: checked, sealedOnly, argument };
  return { spec, workspaceId, ...opened, code, interpreter, packages, secrets, store, redactor, refs };
}

/**
 * Keeps the environment of a lock, or installed packages, from being removed while an attempt needs them.
 * @throws Refusal when there is no such Python.
 */
export async function keepEnvironment(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  { entry }: Pick<Spec, "entry">,
): Promise<void> {
  const release = await heldFor(deps, entry);
  if (release === null) return;
  claimed.releaseEnvironment = release;
  if (isOver(claimed.phase)) await release();
}

/** The npm packages that an entry's code finds. */
function nodePackagesOf(entry: Spec["entry"]): NodePackages | undefined {
  return entry.kind === "python" ? undefined : entry.packages;
}

async function heldFor(deps: AttemptDeps, entry: Spec["entry"]): Promise<(() => Promise<void>) | null> {
  const packages = nodePackagesOf(entry);
  const environment = entry.kind === "flow" ? undefined : entry.environment;
  const held = [
    ...(packages === undefined ? [] : [await holdPackages(deps.environments, packages)]),
    ...(environment?.kind === "lock" ? [await holdEnvironment(deps.environments, environment)] : []),
  ];
  if (held.length === 0) return null;
  return async () => void (await Promise.all(held.map((release) => release())));
}

/**
 * The folder of the npm packages that a spec's entry needs, or null. They are installed if they are missing.
 * @throws Refusal when they cannot be installed; EnvironmentError when they cannot be installed now.
 */
export async function packagesOf(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  { entry, code }: { entry: Spec["entry"]; code: () => Promise<BroughtCode> },
): Promise<string | null> {
  const packages = nodePackagesOf(entry);
  if (packages === undefined) return null;
  const { dir: codeDir } = await code();
  const beganMs = deps.bootClock.nowMs();
  const { signal } = claimed.stopping;
  const onBuild = (count: number) =>
    void claimed.note("info", `Installs its npm packages: ${count}, for all platforms.`).catch(() => {});
  const brought = await refusing(deps, claimed, () =>
    bringPackages(deps.environments, { packages, codeDir, signal, onBuild }),
  );
  // The attempt holds them too.
  await brought.release();
  if (!brought.cached)
    await claimed.note("info", `The packages are ready after ${secondsSince(deps, beganMs)} s.`);
  return brought.dir;
}

/**
 * The interpreter of Python that a spec's entry needs, or null. The environment of a lock is built if it is not there.
 * @throws Refusal when there is no such interpreter, or the environment cannot be built; EnvironmentError when it cannot be built now.
 */
export async function interpreterOf(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  { entry, code }: { entry: Spec["entry"]; code: () => Promise<BroughtCode> },
): Promise<Interpreter | null> {
  if (entry.kind === "flow" || (entry.kind === "command" && entry.environment === undefined)) return null;
  const { environment } = entry;
  if (environment?.kind !== "lock") return await interpreterFor(deps.config, environment?.name ?? null);
  const { dir: codeDir } = await code();
  const beganMs = deps.bootClock.nowMs();
  const { signal } = claimed.stopping;
  const onBuild = (packages: number) =>
    void claimed
      .note("info", `Builds its Python environment: Python ${environment.python}, packages: ${packages}.`)
      .catch(() => {});
  const built = await refusing(deps, claimed, () =>
    bringEnvironment(deps.environments, { environment, codeDir, signal, onBuild }),
  );
  // The attempt holds it too.
  await built.release();
  if (!built.cached)
    await claimed.note("info", `The environment is ready after ${secondsSince(deps, beganMs)} s.`);
  return built.interpreter;
}

function secondsSince({ bootClock }: Pick<AttemptDeps, "bootClock">, beganMs: number): string {
  return ((bootClock.nowMs() - beganMs) / 1000).toFixed(1);
}

/** Logs why an environment cannot be built. The message leaves this network, and the output does not. */
async function refusing<Brought>(
  deps: Pick<AttemptDeps, "log">,
  claimed: Pick<ClaimedAttempt, "name">,
  bring: () => Promise<Brought>,
): Promise<Brought> {
  try {
    return await bring();
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    const { code, output } = error;
    deps.log.error({ attempt: claimed.name, code, output }, "an environment could not be built");
    if (error.kind === "refused") throw new Refusal("bad-environment", error.message);
    throw error;
  }
}

/** The program of an attempt's runner. @throws what finding its interpreter throws. */
export async function programOf({
  spec,
  interpreter,
}: Pick<Prepared, "spec" | "interpreter">): Promise<RunnerProgram> {
  // The runner of a command is Node, whatever the command needs.
  const found = spec.entry.kind === "python" ? await interpreter() : null;
  return found === null ? NODE : pythonOf(found);
}

/** The folders of an attempt's code and environment. @throws what bringing them throws. */
export async function treesOf({
  code,
  interpreter,
  packages,
}: Pick<Prepared, "code" | "interpreter" | "packages">): Promise<string[]> {
  const { dir } = await code();
  const installed = await packages();
  const environment = (await interpreter())?.environmentDir ?? null;
  return [dir, ...(installed === null ? [] : [installed]), ...(environment === null ? [] : [environment])];
}

function pythonOf({ path }: Interpreter): RunnerProgram {
  return { kind: "python", interpreter: path };
}

/** Fetches code, or finds it in the cache, and keeps it there while the attempt is held. */
export async function bringCode(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  pin: CodePin,
): Promise<BroughtCode> {
  try {
    const fetched = await fetchCode(deps.cache, await codeRequest(deps, pin), claimed.stopping.signal);
    claimed.releaseCode = fetched.release;
    // The attempt may be over before the code comes.
    if (isOver(claimed.phase)) await fetched.release();
    return fetched;
  } catch (error) {
    if (error instanceof CodeError && error.kind === "refused") throw new Refusal("bad-code", error.message);
    throw error;
  }
}

/** Where the code is, with the credentials for it. @throws Refusal for a registry that this worker does not have. */
export async function codeRequest(
  deps: { readonly config: Pick<AttemptDeps["config"], "registries" | "environment"> },
  pin: CodePin,
): Promise<CodeRequest> {
  const registry = deps.config.registries[pin.registry];
  if (!registry) {
    throw new Refusal("registry-not-allowed", `This worker has no registry called "${pin.registry}".`);
  }
  const source = await readSecretsOf<SecretSource>(registry, (source, field) =>
    readSecret(deps.config, { name: `the ${field} of registry "${pin.registry}"`, source }),
  );
  return { source, digest: pin.digest, ...(pin.kind === "npm" && { version: pin.version }) };
}

/** The parameters as user code sees them. A command gets the defaults of its schema; a flow applies its own. */
export function parametersOf({
  parameters,
  spec,
}: Pick<Prepared, "parameters" | "spec">): Assignment["parameters"] {
  return spec.entry.kind === "command" ? withDefaults(spec.parameters, parameters) : parameters;
}

/** Digests of the secrets, salted with the claim's nonce: enough to notice that one has changed. */
export function secretDigests(secrets: ReadonlyMap<string, string>, salt: string): Record<string, string> {
  const digestOf = (value: string) => createHash("sha256").update(`${salt}\n${value}`).digest("base64url");
  return Object.fromEntries([...secrets].map(([name, value]) => [name, digestOf(value)]));
}

/** The user of a runner, as it is stored. */
export function userOf({ user }: Pick<RunnerProcess, "user">): StoredAttempt["user"] {
  return user && { uid: user.uid };
}

/** The process of a runner, as it is stored. */
export function processOf({
  identity,
  mark,
  monitor,
}: Pick<RunnerProcess, "identity" | "mark" | "monitor">): NonNullable<StoredAttempt["process"]> {
  return { ...identity, mark, monitor };
}

/** What a restart must know of an attempt whose start is about to be reported. */
export function firstStored(
  claimed: ClaimedAttempt,
  args: { assignment: Assignment; prepared: Prepared; runner: RunnerProcess },
): Omit<StoredAttempt, "socket" | "phase" | "stop"> {
  const { assignment, prepared, runner } = args;
  return {
    format: 1,
    boot: readBootId(),
    assignment,
    workspaceId: prepared.workspaceId,
    sealedOnly: prepared.sealedOnly,
    spec: prepared.spec,
    process: processOf(runner),
    user: userOf(runner),
    launchedAtMs: null,
    declined: null,
    outcome: null,
    cleanedUp: false,
    gpus: [...(claimed.taken?.gpus ?? [])],
    secrets: secretDigests(prepared.secrets, claimed.fence.nonce),
  };
}

/**
 * Fetches the code of a flow, or finds it in the cache, and finds the program of its runner. The environment of a lock is built
 * if it is not there. Both are kept until they are released.
 * @throws Refusal when there is no such interpreter; CodeError or EnvironmentError when something cannot be brought.
 */
export async function bringProgram(
  deps: Pick<AttemptDeps, "cache" | "config" | "environments">,
  { spec, signal }: { spec: Pick<Spec, "code" | "entry">; signal: AbortSignal },
): Promise<BroughtVersion> {
  const { entry } = spec;
  const fetched = await fetchCode(deps.cache, await codeRequest(deps, spec.code), signal);
  const environment = entry.kind === "python" ? entry.environment : undefined;
  try {
    if (environment?.kind === "lock") {
      const built = await bringEnvironment(deps.environments, {
        environment,
        codeDir: fetched.dir,
        signal,
      });
      const release = async () => void (await Promise.all([fetched.release(), built.release()]));
      const program = pythonOf(built.interpreter);
      return { dir: fetched.dir, environmentDir: built.dir, program, release };
    }
    const packages = entry.kind === "flow" ? entry.packages : undefined;
    if (packages !== undefined) {
      const installed = await bringPackages(deps.environments, { packages, codeDir: fetched.dir, signal });
      const release = async () => void (await Promise.all([fetched.release(), installed.release()]));
      return { dir: fetched.dir, environmentDir: installed.dir, program: NODE, release };
    }
    const program =
      entry.kind === "python" ? pythonOf(await interpreterFor(deps.config, environment?.name ?? null)) : NODE;
    return { dir: fetched.dir, environmentDir: null, program, release: fetched.release };
  } catch (error) {
    await fetched.release();
    throw error;
  }
}

/**
 * The verified version, for a runner that loads it before its next attempt. Null if its author forbids that, or
 * if the attempt's environment has secrets or devices that a waiting runner must not have.
 */
export function aheadVersion(
  deps: Pick<AttemptDeps, "cache" | "config" | "environments">,
  claimed: Pick<ClaimedAttempt, "taken">,
  args: { assignment: Assignment; prepared: Pick<Prepared, "spec"> },
): AheadVersion | null {
  const { spec } = args.prepared;
  const { entry, version, expiresAt } = spec;
  if (!spec.loadAhead || entry.kind === "command") return null;
  if (spec.secrets.some(({ env }) => env !== null) || (claimed.taken?.gpus ?? []).length > 0) return null;
  return {
    deployment: deploymentNameOf(spec),
    version,
    key: createHash("sha256").update(args.assignment.spec).digest("base64url"),
    expiresAtMs: expiresAt === null ? null : Date.parse(expiresAt),
    code: {
      env: aheadEnvironment(spec),
      module: entry.module,
      exportName: entry.kind === "python" ? entry.function : entry.export,
    },
    bring: async (signal) => await bringProgram(deps, { spec, signal }),
  };
}
