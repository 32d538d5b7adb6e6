import { deploymentNameOf, Problem, Spec, uuidv7 } from "@towpath/contract";
import {
  type Deps,
  keepQuota,
  plainFaults,
  plainValueProblem,
  type Scope,
  type Tx,
  writeChanges,
} from "../kernel/index.ts";
import { checkQueue, getPools } from "../pools/index.ts";
import { readSpec } from "./read-spec.ts";
import { IS_THERE, insertVersion, lockDeployment, selectSigned } from "./store.ts";
import { deployment } from "./table.ts";

/**
 * How far a number may be above the next one. Deployers keep their own ledger of numbers: one that was signed and not
 * registered, or registered before the database went back, is never used again.
 */
const GAP_MAX = 1_000;

/** A registered version. */
export interface Registered {
  readonly workspaceId: string;
  readonly deploymentId: string;
  /** The deployment's name, with its stage. */
  readonly name: string;
  readonly spec: Spec;
  /** False if the same signed spec was registered before: nothing was changed. */
  readonly isNew: boolean;
}

/**
 * Adds the next version of a deployment from a signed spec, one at a time per deployment. The spec also has default limits and
 * schedules: the slices to the right apply those of a new version, in the same transaction.
 * @throws Problem `invalid-spec`, `plain-value`, `pool-not-found`, `queue-not-found`, `version-conflict`.
 */
export async function addVersion(
  tx: Tx,
  deps: Deps,
  { scope, jws }: { scope: Scope; jws: string },
): Promise<Registered> {
  const { workspaceId } = scope;
  const { spec, keyId } = readSpec(jws, { workspaceId, nowMs: deps.clock.nowMs() });
  const plain = scope.sealed ? plainFaults(Spec, spec, ["spec"]) : [];
  if (plain.length > 0) throw plainValueProblem(plain);
  const name = deploymentNameOf(spec);
  const remote = Object.values(spec.remoteTasks).flatMap(({ pools }) => pools);
  const [first] = await getPools(tx, { workspaceId, names: [...spec.pools, ...remote], isUsed: true });
  if (first === undefined) throw new Problem("invalid-spec", "Check the pools of the spec.");
  if (spec.queue !== null) await checkQueue(tx, { workspaceId, pool: first, queue: spec.queue });
  const id = uuidv7(deps.clock.nowMs());
  const locked = await lockDeployment(tx, { id, workspaceId, name });
  if (locked === null) throw new Problem("version-conflict", "The deployment has just changed. Try again.");
  const next = locked.latestVersion + 1;
  if (spec.version < next || spec.version > next + GAP_MAX) {
    const there = await selectSigned(tx, { workspaceId, deploymentId: locked.id, version: spec.version });
    if (there === jws) return { workspaceId, deploymentId: locked.id, name, spec, isNew: false };
    throw new Problem(
      "version-conflict",
      spec.version < next
        ? `The next version of "${name}" is ${next}, not ${spec.version}. Sign it again as version ${next}.`
        : `The next version of "${name}" is ${next}. Version ${spec.version} is more than ${GAP_MAX} above it. Sign it again with a lower number.`,
    );
  }
  await insertVersion(tx, {
    id: uuidv7(deps.clock.nowMs()),
    workspaceId,
    deploymentId: locked.id,
    poolId: first.id,
    keyId,
    specJws: jws,
    spec,
    registeredBy: scope.actor.name,
    clock: deps.clock,
  });
  if (locked.latestVersion === 0 || locked.removed)
    await keepQuota(tx, deps, { quota: "deployments", workspaceId, table: deployment, where: IS_THERE });
  await writeChanges(tx, [
    { workspaceId, kind: "deployment", entityId: locked.id, data: { version: spec.version } },
  ]);
  return { workspaceId, deploymentId: locked.id, name, spec, isNew: true };
}
