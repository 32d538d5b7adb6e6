import { deploymentNameOf, type Spec } from "@towpath/contract";
import type { DeployOutcome } from "towpath/deploy";
import { Failure } from "../failure.ts";
import type { PublicKey } from "../identity/signing-key.ts";
import { floorFor } from "./floor.ts";
import type { ProjectDeployment } from "./project.ts";
import { numberFor, type Registration, readSaid, type Said, signAndRegister, timesOf } from "./register.ts";
import { openToSignAgain, sealSpec } from "./seal-spec.ts";

/** A renewal: what a registration needs, without code. */
export type Renewal = Omit<Registration, "ground"> & {
  readonly workspaceId: string;
  /** Other keys of the deployer, such as the one before a rotation. What they signed may be signed again. */
  readonly earlierKeys: readonly PublicKey[];
  /** Signs again what expires within this time, milliseconds. */
  readonly withinMs: number;
};

/** The registered spec, signed with the own key. @throws Failure `foreign-key`, `deployment-not-found`. */
function signedSpec({ before, claimed, latest }: Said, key: Renewal["key"]): Spec {
  if (before !== null) return before;
  const { name, version } = claimed;
  if (version === 0 || latest === undefined)
    throw new Failure(`"${name}" is not deployed yet, so there is nothing to sign again.`, {
      exit: "notFound",
      code: "deployment-not-found",
      next: ["`towpath deploy` registers it"],
    });
  throw new Failure(
    `v${version} of "${name}" is signed with the key ${latest.keyId}, or was changed. Yours is ${key.kid}.`,
    {
      exit: "notPermitted",
      code: "foreign-key",
      next: [
        "use that key with TOWPATH_SIGNING_KEY_FILE",
        "or check out the code of that version and run `towpath deploy`, which signs it with your key",
      ],
    },
  );
}

function isDue(spec: Spec, { withinMs, nowMs, key }: Renewal, latest: Said["latest"]): boolean {
  if (latest?.keyId !== key.kid) return true;
  // What never expires needs no renewal.
  return spec.expiresAt !== null && Date.parse(spec.expiresAt) - nowMs() <= withinMs;
}

/** The expiry of the new version. @throws Failure `expired-spec` if the deployment sets one that has passed. */
function expiryFor(
  { settings }: ProjectDeployment,
  args: { name: string; times: ReturnType<typeof timesOf> },
) {
  const { expiresAt } = settings;
  if (expiresAt === undefined) return args.times.expiresAt;
  if (expiresAt === null || Date.parse(expiresAt) > Date.parse(args.times.issuedAt)) return expiresAt;
  throw new Failure(`\`expiresAt\` of "${args.name}" has passed (${expiresAt}).`, {
    exit: "configuration",
    code: "expired-spec",
    next: ["set a later one, or leave it out; then `expiresInDays` of the project counts"],
  });
}

/**
 * Signs the content of the latest version again as the next one, if it expires soon or another key signed it. The code is
 * not built: it is that of the latest version, whose signature is verified first.
 * @throws Failure; Problem of `registerVersion`.
 */
export async function renew(args: Renewal, deployment: ProjectDeployment): Promise<DeployOutcome> {
  const { client, key, ledger, workspaceId } = args;
  const name = deploymentNameOf(deployment.settings);
  const keys = [key, ...args.earlierKeys];
  const said = await readSaid(args, { name, workspace: workspaceId, keys });
  const before = await openToSignAgain(args.keyring, signedSpec(said, key));
  const { version, last, notes } = await numberFor(args, said.claimed);
  const times = timesOf(args);
  const expiresAt = expiryFor(deployment, { name, times });
  const outcome = { deployment: name, digest: before.code.digest, wasRemoved: false };
  const isSameKey = said.latest?.keyId === key.kid;
  if (!isDue(before, args, said.latest) || (isSameKey && expiresAt === before.expiresAt))
    return {
      ...outcome,
      version: before.version,
      status: "unchanged",
      keyId: said.latest?.keyId ?? "",
      changed: [],
    };
  const { floor: given } = deployment.settings;
  const floor = await floorFor(client, {
    name,
    version,
    given,
    last,
    isKept: ledger !== null,
    lagMax: args.floorLag,
  });
  args.notes.push(...notes, ...floor.notes);
  const done = { ...outcome, version, keyId: key.kid, changed: ["expiresAt"] };
  if (args.plan) return { ...done, status: "planned" };
  const spec = { ...before, version, floor: floor.floor, issuedAt: times.issuedAt, expiresAt };
  const expiresBy = deployment.settings.expiresAt === undefined ? "project" : "author";
  await signAndRegister(args, { spec: await sealSpec(args.keyring, spec), floorBy: floor.by, expiresBy });
  return { ...done, status: "registered" };
}
