import { type Deployment, Problem, type Spec, uuidv7 } from "@towpath/contract";
import { type Deps, inTransaction, keepQuota, type Scope, type Tx, writeChanges } from "../kernel/index.ts";
import { checkQueue, getPools } from "../pools/index.ts";
import { getDeployment } from "./deployments.ts";
import { type ReadSpec, readSpec } from "./read-spec.ts";
import { insertVersion, lockDeployment, selectSigned } from "./store.ts";
import { deployment } from "./table.ts";

/** A version that was just inserted. */
export interface Registered {
  readonly workspaceId: string;
  readonly deploymentId: string;
  readonly spec: Spec;
}

/** What a slice to the right does with a new version, in its transaction: the spec holds defaults of that slice. */
export type OnRegistered = (tx: Tx, deps: Deps, registered: Registered) => Promise<void>;

async function write(
  deps: Deps,
  args: { tx: Tx; scope: Scope; read: ReadSpec; onRegistered: readonly OnRegistered[] },
): Promise<void> {
  const { tx, scope, read } = args;
  const { workspaceId } = scope;
  const { spec } = read;
  const remote = Object.values(spec.remoteTasks).flatMap(({ pools }) => pools);
  const [first] = await getPools(tx, { workspaceId, names: [...spec.pools, ...remote] });
  if (first === undefined) throw new Problem("invalid-spec", "Check the pools of the spec.");
  if (spec.queue !== null) await checkQueue(tx, { workspaceId, pool: first, queue: spec.queue });
  const id = uuidv7(deps.clock.nowMs());
  const locked = await lockDeployment(tx, { id, workspaceId, name: spec.deployment });
  if (locked === null) throw new Problem("version-conflict", "The deployment has just changed. Try again.");
  if (locked.latestVersion === 0)
    await keepQuota(tx, deps, { quota: "deployments", workspaceId, table: deployment });
  const next = locked.latestVersion + 1;
  if (spec.version !== next) {
    const there = await selectSigned(tx, { workspaceId, deploymentId: locked.id, version: spec.version });
    if (there === read.jws) return;
    throw new Problem(
      "version-conflict",
      `The next version of "${spec.deployment}" is ${next}, not ${spec.version}. Sign it again as version ${next}.`,
    );
  }
  await insertVersion(tx, {
    id: uuidv7(deps.clock.nowMs()),
    workspaceId,
    deploymentId: locked.id,
    poolId: first.id,
    keyId: read.keyId,
    specJws: read.jws,
    spec,
    registeredBy: scope.actor.name,
    clock: deps.clock,
  });
  for (const act of args.onRegistered) await act(tx, deps, { workspaceId, deploymentId: locked.id, spec });
  await writeChanges(tx, [
    { workspaceId, kind: "deployment", entityId: locked.id, data: { version: spec.version } },
  ]);
}

/**
 * Registers the next version of a deployment from a signed spec, one at a time per deployment.
 * Registering the same signed spec again changes nothing and returns the deployment.
 * @param args.onRegistered Runs in the same transaction for a new version.
 * @throws Problem `invalid-spec`, `pool-not-found`, `queue-not-found`, `version-conflict`.
 */
export async function registerVersion(
  deps: Deps,
  args: { scope: Scope; jws: string; onRegistered?: readonly OnRegistered[] },
): Promise<Deployment> {
  const { workspaceId } = args.scope;
  const read = readSpec(args.jws, { workspaceId, nowMs: deps.clock.nowMs() });
  return inTransaction(deps, async (tx) => {
    await write(deps, { tx, scope: args.scope, read, onRegistered: args.onRegistered ?? [] });
    return getDeployment(tx, { workspaceId, name: read.spec.deployment });
  });
}
