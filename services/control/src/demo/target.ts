import { SPEC_FORMAT, SPEC_TYP, type SpecInput, uuidv7 } from "@towpath/contract";
import { CompactSign, generateKeyPair } from "jose";
import { addVersion, getLatestVersion } from "../deployments/index.ts";
import { createKey } from "../identity/index.ts";
import { type Deps, inTransaction, manualClock, type Scope, systemScope } from "../kernel/index.ts";
import { createPool, seedLimits, setLimit, setQueue } from "../runs/index.ts";
import { seedSchedules } from "../schedules/index.ts";
import { NAMED_LIMITS, POOLS } from "./catalog.ts";
import type { DemoFlow, Extent } from "./flow.ts";
import type { DemoContext } from "./history.ts";
import { Random } from "./random.ts";

const DAY_MS = 24 * 3_600_000;
/** The people who deploy. */
const PEOPLE = ["ada", "grace", "linus-ci"] as const;

/** The workspace that the demo fills, with the seed, the time and the extent. */
export interface DemoTarget {
  readonly deps: Deps;
  readonly workspaceId: string;
  readonly seed: number;
  readonly nowMs: number;
  readonly extent: Extent;
}

/** The same dependencies at another time. */
export function at(deps: Deps, ms: number): Deps {
  return { ...deps, clock: manualClock(ms) };
}

/** Creates the pools with their queues, the named limits, and the key of the workers. @returns the scope of that key */
export async function makePools({ deps, workspaceId }: DemoTarget): Promise<Scope> {
  const scope = systemScope(workspaceId, "demo");
  for (const [name, queues] of Object.entries(POOLS)) {
    await createPool(deps, { scope, input: { name } });
    for (const [queue, priority] of Object.entries(queues))
      await setQueue(deps, { scope, name, input: { queue, priority } });
  }
  for (const limit of NAMED_LIMITS) {
    const input = { ...limit, kind: "named" as const, collision: "enqueue" as const };
    await setLimit(deps, { scope, input });
  }
  const made = await createKey(deps, { scope, input: { kind: "worker", name: "demo-workers", pool: null } });
  return { ...scope, actor: { kind: "key", id: made.key.id, name: "demo-workers" } };
}

function camel(name: string): string {
  return name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** The schema of a flow's parameters, from an example. */
function schemaOf(flow: DemoFlow): SpecInput["parameters"] {
  const example = flow.parameters?.(new Random(1), 0) ?? {};
  const properties = Object.fromEntries(
    Object.entries(example).map(([name, value]) => [name, { type: typeof value, default: value }]),
  );
  return { type: "object", properties, additionalProperties: false };
}

function specOf(target: DemoTarget, args: { flow: DemoFlow; version: number; atMs: number }): SpecInput {
  const { flow, version } = args;
  const random = Random.of(target.seed, `${flow.name} ${version}`);
  return {
    format: SPEC_FORMAT,
    workspaceId: target.workspaceId,
    deployment: flow.name,
    version,
    floor: 1,
    issuedAt: new Date(args.atMs).toISOString(),
    expiresAt: null,
    pools: [flow.pool],
    code: { kind: "git", registry: "flows", digest: random.hex(40) },
    entry: { kind: "flow", module: `flows/${flow.name}.ts`, export: camel(flow.name) },
    parameters: schemaOf(flow),
    retry: { limit: flow.retries ?? 0 },
    schedules: flow.schedule === undefined ? [] : [flow.schedule],
    tasks: Object.fromEntries(flow.stages.map(({ task }) => [task, random.hex(32)])),
    ...flow.spec,
  };
}

/**
 * Registers the versions of a flow at their times. They are signed with a temporary key, since no worker runs them. The
 * schedules of the latest version begin now.
 */
export async function deployFlow(
  target: DemoTarget,
  flow: DemoFlow,
): Promise<Omit<DemoContext, "nowMs" | "workers">> {
  const { deps, workspaceId, nowMs, extent } = target;
  const { privateKey } = await generateKeyPair("Ed25519");
  const scope = (index: number) => systemScope(workspaceId, PEOPLE[index % PEOPLE.length] ?? "ada");
  const versions = [];
  for (const [index, daysAgo] of flow.deployedDaysAgo.entries()) {
    const deployedMs = nowMs - (index === 0 ? extent.days : Math.min(daysAgo, extent.days)) * DAY_MS;
    const spec = specOf(target, { flow, version: index + 1, atMs: deployedMs });
    const jws = await new CompactSign(new TextEncoder().encode(JSON.stringify(spec)))
      .setProtectedHeader({ alg: "EdDSA", typ: SPEC_TYP, kid: "demo" })
      .sign(privateKey);
    const isLast = index === flow.deployedDaysAgo.length - 1;
    const deployed = at(deps, deployedMs);
    await inTransaction(deployed, async (tx) => {
      const registered = await addVersion(tx, deployed, { scope: scope(index), jws });
      await seedLimits(tx, deployed, registered);
      if (isLast) await seedSchedules(tx, deps, registered);
    });
    const pinned = await inTransaction(deps, (tx) => getLatestVersion(tx, { workspaceId, name: flow.name }));
    versions.push({ ...pinned, deployedMs });
  }
  return { versions };
}

/** A new id for internal records. */
export function idNow({ deps }: DemoTarget): string {
  return uuidv7(deps.clock.nowMs());
}
