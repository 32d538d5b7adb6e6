import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Client } from "@towpath/client";
import { type Deployment, type Keyring, Problem, type Spec } from "@towpath/contract";
import { linesOf } from "@towpath/contract/ledger";
import { EXIT, Failure } from "../failure.ts";
import type { SigningKey } from "../identity/signing-key.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { runCommand } from "../runs/parameters.ts";
import { ledgerFor, signingKeyInUse, workspaceToSign } from "./commands.ts";
import { findDeployment } from "./find.ts";
import { floorFor } from "./floor.ts";
import { printChanges, printedName } from "./inspect.ts";
import { headText, type LedgerUse, type NextNumber, type Origins, readLedger } from "./ledger.ts";
import { findConfig } from "./python/config-file.ts";
import { numberFor, ownSpec, readSaid, signAndRegister } from "./register.ts";
import { isSealedWhole, keyringOf, openOwnSpec, openToSignAgain, sealSpec } from "./seal-spec.ts";
import { saysTheSame } from "./spec.ts";

/** The arguments of `towpath deployments rollback`. */
export interface RollbackRequest {
  readonly name: string;
  /** The version to return to. */
  readonly version: number;
  /** Does not ask first. */
  readonly yes: boolean;
  /** The project's folder, with the ledger. */
  readonly project: string;
  readonly acceptGap: boolean;
}

/** What a rollback reads before it signs. */
interface Ground {
  readonly client: Client;
  readonly key: SigningKey;
  readonly workspaceId: string;
  readonly deployment: Deployment;
  readonly version: number;
  readonly ledger: LedgerUse | null;
  /** Opens what is sealed in the earlier version, and seals it with the present key. Null: specs stay as they are. */
  readonly keyring: Keyring | null;
}

/** A spec to sign, in plain where there is a key, with what decides on its floor and expiry. */
interface Next extends Origins {
  readonly spec: Spec;
  readonly notes: readonly string[];
}

/** @throws Failure if the version is not an earlier one. */
function checkNumber({ name, latest }: Deployment, version: number): void {
  if (version < latest.version) return;
  const isLatest = version === latest.version;
  throw new Failure(
    isLatest
      ? `v${version} is the latest version of "${name}" already.`
      : `"${name}" has no version ${version}; its latest is v${latest.version}.`,
    {
      exit: isLatest ? "invalidInput" : "notFound",
      code: "no-earlier-version",
      next: [`\`towpath deployments show ${printedName(name)}\` lists its versions`],
    },
  );
}

/** The spec of the earlier version, verified with the own key. @throws Failure if the key did not sign it. */
async function earlierSpec({ client, key, workspaceId, deployment, version }: Ground): Promise<Spec> {
  const { name } = deployment;
  const { version: registered } = await client.getVersion({ params: { name, version }, query: {} });
  const deployAgain =
    "or check out the code of that version and run `towpath deploy`, which signs it with your key";
  if (registered.keyId !== key.kid)
    throw new Failure(
      `v${version} of "${name}" is signed with the key ${registered.keyId}, and yours is ${key.kid}.`,
      {
        exit: "notPermitted",
        code: "foreign-key",
        next: [
          `roll back with the key that signed it: set TOWPATH_SIGNING_KEY_FILE, or ask ${registered.registeredBy}`,
          deployAgain,
        ],
      },
    );
  const { spec: jws } = await client.getSpec({ params: { name, version } });
  const spec = await ownSpec(jws, { name, version, workspaceId, keys: [key] });
  if (spec !== null) return spec;
  throw new Failure(`The signed spec of v${version} of "${name}" cannot be verified with your key.`, {
    exit: "invalidInput",
    code: "bad-signature",
    next: [
      "nothing was registered: a spec that was changed after it was signed must not be signed again",
      "check out the code of that version and run `towpath deploy`",
    ],
  });
}

/**
 * The oldest version to which a rollback may return. A floor that a deploy chose by the runs that had not ended withdraws
 * nothing on purpose, and the ledger says which those are. Without it, an unverified spec may only raise the floor.
 */
async function withdrawnBelow({ client, deployment, ledger, workspaceId }: Ground): Promise<number> {
  const { name, latest } = deployment;
  const lines =
    ledger === null
      ? []
      : linesOf(await readLedger(ledger.file), { workspace: workspaceId, deployment: name });
  if (lines.some(({ version }) => version >= latest.version))
    return lines.findLast(({ floorBy }) => floorBy === "author")?.floor ?? 1;
  const { spec } = await client.getVersion({ params: { name, version: latest.version }, query: {} });
  return typeof spec.floor === "number" ? spec.floor : 1;
}

/** @throws Failure if workers must not run the earlier version any more. */
export function checkAllowed(spec: Spec, args: { name: string; floor: number; nowMs: number }): void {
  const { version, expiresAt } = spec;
  if (version < args.floor)
    throw new Failure(
      `v${version} of "${args.name}" must not run again: the oldest allowed version is v${args.floor} (\`floor\`).`,
      {
        exit: "invalidInput",
        code: "version-below-floor",
        next: [
          `roll back to v${args.floor} or later, or correct the code and run \`towpath deploy\``,
          "to allow the version again, lower `floor` in towpath.config.ts and deploy",
        ],
      },
    );
  if (expiresAt !== null && Date.parse(expiresAt) <= args.nowMs)
    throw new Failure(`v${version} of "${args.name}" expired at ${expiresAt}.`, {
      exit: "invalidInput",
      code: "expired-spec",
      next: ["check out the code of that version, set a later `expiresAt`, and run `towpath deploy`"],
    });
}

function raced(name: string, cause?: unknown): Failure {
  return new Failure(`Another version of "${name}" was registered at the same time.`, {
    exit: "invalidInput",
    code: "version-conflict",
    next: [`\`towpath deployments show ${printedName(name)}\` shows it; then run the rollback again`],
    cause,
  });
}

/** The floor of the next version: never below that of the latest one. */
async function nextFloor(ground: Ground, args: { number: NextNumber; withdrawn: number }) {
  const { client, deployment, ledger } = ground;
  const { version, last } = args.number;
  if (last === null) return { floor: args.withdrawn, by: "author" as const, notes: [] };
  const given = { name: deployment.name, version, given: undefined, last, isKept: ledger !== null };
  // A rollback must not fail because of an old run.
  return await floorFor(client, { ...given, lagMax: Number.POSITIVE_INFINITY });
}

/**
 * When the next version expires. If the project's time for all specs set the expiry of the earlier version, as the ledger
 * says, that time begins anew. An expiry of the deployment itself stays.
 */
async function nextExpiry(
  { deployment, ledger, workspaceId }: Ground,
  { earlier, nowMs }: { earlier: Spec; nowMs: number },
): Promise<{ expiresAt: string | null; by: Origins["expiresBy"] }> {
  const { expiresAt, issuedAt, version } = earlier;
  const of = { workspace: workspaceId, deployment: deployment.name };
  const lines = ledger === null ? [] : linesOf(await readLedger(ledger.file), of);
  const isOfProject = lines.some((line) => line.version === version && line.expiresBy === "project");
  if (!isOfProject || expiresAt === null) return { expiresAt, by: "author" };
  const validMs = Date.parse(expiresAt) - Date.parse(issuedAt);
  return { expiresAt: new Date(nowMs + validMs).toISOString(), by: "project" };
}

/** The earlier spec as the next version. */
async function nextSpec(ground: Ground, nowMs: number): Promise<Next> {
  const earlier = await openToSignAgain(ground.keyring, await earlierSpec(ground));
  const { name } = ground.deployment;
  const withdrawn = await withdrawnBelow(ground);
  const expiry = await nextExpiry(ground, { earlier, nowMs });
  checkAllowed({ ...earlier, expiresAt: expiry.expiresAt }, { name, floor: withdrawn, nowMs });
  const { claimed } = await readSaid(ground, { name, workspace: ground.workspaceId });
  // What was compared and shown is the version that was the latest then.
  if (claimed.version !== ground.deployment.latest.version) throw raced(name);
  const number = await numberFor(ground, claimed);
  const floor = await nextFloor(ground, { number, withdrawn });
  return {
    spec: {
      ...earlier,
      version: number.version,
      floor: Math.max(earlier.floor, floor.floor),
      expiresAt: expiry.expiresAt,
      issuedAt: new Date(nowMs).toISOString(),
    },
    floorBy: floor.by,
    expiresBy: expiry.by,
    notes: [...number.notes, ...floor.notes],
  };
}

/** Whether the latest version has this content already, as after a rollback whose answer was lost. */
async function isLatest(
  { client, key, workspaceId, deployment, keyring }: Ground,
  { spec, expiresBy }: Next,
): Promise<boolean> {
  const { name, latest } = deployment;
  if (latest.keyId !== key.kid) return false;
  const { version } = latest;
  const { spec: jws } = await client.getSpec({ params: { name, version } });
  const stored = await ownSpec(jws, { name, version, workspaceId, keys: [key] });
  if (stored === null || (keyring !== null && !isSealedWhole(stored))) return false;
  // A spec with a key that is not here counts as another one.
  const current = await openOwnSpec(keyring, stored).catch(() => null);
  return current !== null && saysTheSame(current, spec, { floor: false, expiresAt: expiresBy === "author" });
}

async function register(ground: Ground, next: Next): Promise<Deployment> {
  const { name } = ground.deployment;
  try {
    return await signAndRegister(ground, { ...next, spec: await sealSpec(ground.keyring, next.spec) });
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.code !== "version-conflict") throw failure;
    throw raced(name, failure);
  }
}

/** The ledger for a rollback. Null outside a project, or for a control plane of `towpath dev`. */
async function ledgerHere(invocation: Invocation, request: RollbackRequest): Promise<LedgerUse | null> {
  const root = resolve(invocation.cwd, request.project);
  const use = ledgerFor(await invocation.connect(), {
    root,
    acceptGap: request.acceptGap,
    newWorkspace: false,
  });
  if (use === null || existsSync(use.file) || (await findConfig(root)) !== null) return use;
  invocation.output.note(
    `${invocation.output.style.yellow("!")} there is no ledger in ${root}; give the project's folder with --project, or its next deploy needs --accept-gap`,
  );
  return null;
}

/** Asks before the rollback. @throws Failure `not-confirmed` without a terminal and `--yes`. */
async function isConfirmed(invocation: Invocation, { name, version, yes }: RollbackRequest) {
  if (yes) return true;
  if (canAsk(invocation)) return await confirmed(invocation, `Roll ${name} back to v${version}?`);
  throw new Failure(`Nothing was registered: ${name} would be rolled back to v${version}.`, {
    exit: "usage",
    code: "not-confirmed",
    next: ["add --yes to roll back without a question"],
  });
}

/**
 * `towpath deployments rollback NAME VERSION`: signs the content of an earlier version anew, as the next version. Repeating it
 * changes nothing.
 * @returns The exit code.
 */
export async function rollBack(invocation: Invocation, request: RollbackRequest): Promise<number> {
  const { output, clock } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const deployment = await findDeployment(client, request.name);
  const { name, latest } = deployment;
  checkNumber(deployment, request.version);
  const key = await signingKeyInUse(invocation, await invocation.folder());
  const connection = await invocation.connect();
  const workspaceId = await workspaceToSign(connection);
  const ledger = await ledgerHere(invocation, request);
  const keyring = await keyringOf(connection.workspaceKeys);
  const { version } = request;
  const ground: Ground = { client, key, workspaceId, deployment, version, ledger, keyring };
  const next = await nextSpec(ground, clock.nowMs());
  const { spec } = next;
  if (await isLatest(ground, next)) {
    output.data(deployment);
    output.line(
      `v${latest.version} of ${name} has the content of v${version} already. Nothing was registered.`,
    );
    return EXIT.ok;
  }
  const { changes } = await client.getVersion({
    params: { name, version },
    query: { since: latest.version },
  });
  output.line(`${style.bold(name)} v${latest.version} → v${spec.version}, with the content of v${version}:`);
  printChanges(output, { changes, from: latest.version, to: version });
  if (!(await isConfirmed(invocation, { ...request, name }))) {
    output.line("Nothing was registered.");
    return EXIT.interrupted;
  }
  for (const note of next.notes) output.note(`${style.yellow("!")} ${note}`);
  const done = await register(ground, next);
  output.data(done);
  output.line(
    `${style.green("✓")} v${done.latest.version} of ${name} has the content of v${version}; new runs use it`,
  );
  if (ledger !== null) {
    const { heads } = await readLedger(ledger.file);
    output.next(`commit the ledger ${ledger.file}, head ${headText(heads)}`);
  }
  output.next(`\`${runCommand(printedName(name), done.parameters)}\` starts a run`);
  return EXIT.ok;
}
