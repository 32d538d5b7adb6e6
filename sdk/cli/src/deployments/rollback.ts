import type { Client } from "@towpath/client";
import { type Deployment, Problem, type Spec } from "@towpath/contract";
import { EXIT, Failure } from "../failure.ts";
import { type SigningKey, signSpec } from "../identity/signing-key.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { runCommand } from "../runs/parameters.ts";
import { signingKeyInUse } from "./commands.ts";
import { ownSpec } from "./deploy.ts";
import { findDeployment } from "./find.ts";
import { printChanges, printedName } from "./inspect.ts";
import { saysTheSame } from "./spec.ts";

/** The arguments of `towpath deployments rollback`. */
export interface RollbackRequest {
  readonly name: string;
  /** The version to return to. */
  readonly version: number;
  /** Does not ask first. */
  readonly yes: boolean;
}

/** What a rollback reads before it signs. */
interface Ground {
  readonly client: Client;
  readonly key: SigningKey;
  readonly workspaceId: string;
  readonly deployment: Deployment;
  readonly version: number;
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
  const spec = await ownSpec(client, { name, version, workspaceId, key });
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

/** The oldest version that the latest spec allows. An unverified spec may only raise it. */
async function floorOf({ client, deployment: { name, latest } }: Ground): Promise<number> {
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

/** The earlier spec as the next version. Its floor is never lowered. */
async function nextSpec(ground: Ground, nowMs: number): Promise<Spec> {
  const earlier = await earlierSpec(ground);
  const { name, latest } = ground.deployment;
  const floor = await floorOf(ground);
  checkAllowed(earlier, { name, floor, nowMs });
  return {
    ...earlier,
    version: latest.version + 1,
    floor: Math.max(earlier.floor, floor),
    issuedAt: new Date(nowMs).toISOString(),
  };
}

/** Whether the latest version has this content already, as after a rollback whose answer was lost. */
async function isLatest({ client, key, workspaceId, deployment }: Ground, spec: Spec): Promise<boolean> {
  const { name, latest } = deployment;
  if (latest.keyId !== key.kid) return false;
  const current = await ownSpec(client, { name, version: latest.version, workspaceId, key });
  return current !== null && saysTheSame(current, spec);
}

async function register({ client, key, deployment: { name } }: Ground, spec: Spec): Promise<Deployment> {
  try {
    return await client.registerVersion({ body: { spec: await signSpec(spec, key) } });
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.code !== "version-conflict") throw failure;
    throw new Failure(`Another version of "${name}" was registered at the same time.`, {
      exit: "invalidInput",
      code: failure.code,
      next: [`\`towpath deployments show ${printedName(name)}\` shows it; then run the rollback again`],
      cause: failure,
    });
  }
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
  const { workspace } = await client.getMe();
  const ground: Ground = { client, key, workspaceId: workspace.id, deployment, version: request.version };
  const spec = await nextSpec(ground, clock.nowMs());
  const { version } = request;
  if (await isLatest(ground, spec)) {
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
  const done = await register(ground, spec);
  output.data(done);
  output.line(
    `${style.green("✓")} v${done.latest.version} of ${name} has the content of v${version}; new runs use it`,
  );
  output.next(`\`${runCommand(printedName(name), done.parameters)}\` starts a run`);
  return EXIT.ok;
}
