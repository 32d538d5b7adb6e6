import { join } from "node:path";
import { computeOf, LIMITS, needsOf, remoteTaskOf } from "@towpath/contract";
import { readBootId } from "@towpath/contract/process";
import { killMarked, waitForExit } from "../host/index.ts";
import { type ExitStatus, markPrefix } from "../launch/index.ts";
import { maskOf, openParameters, type PathMask } from "../sealing/index.ts";
import { createRedactor } from "../secrets/index.ts";
import { removeIfAny } from "../state/atomic-file.ts";
import { RefSigner, withoutMac } from "../store/sign-refs.ts";
import { removeUnfollowed } from "../walls/index.ts";
import { isOfThisBoot, listStored, openStore, type StoredAttempt } from "./attempt-store.ts";
import { originOf } from "./chain.ts";
import { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { type Launched, openAttemptGateway } from "./launch-attempt.ts";
import { plainRefs } from "./parameter-refs.ts";
import { claimName } from "./paths.ts";
import { type FoundFact, type Phase, restartPhase } from "./phases.ts";
import {
  bringCode,
  interpreterOf,
  keepEnvironment,
  type Prepared,
  packagesOf,
  secretDigests,
} from "./prepare.ts";
import { isTerminated } from "./spool.ts";
import { readHistory } from "./spool-records.ts";
import { heldProcess, watchLinger } from "./stop.ts";
import { storeOfSpec } from "./store-access.ts";

/**
 * The lease of an attempt after a restart, milliseconds. It is unknown how long the worker was away, so this is
 * only long enough to ask the control plane.
 */
const RESUME_LEASE_MS = 5_000;

/** A claim that an earlier process of this worker left, and the phase in which this one goes on. */
interface Found {
  readonly stored: StoredAttempt;
  readonly phase: Phase;
}

/**
 * Finds the attempts that an earlier process of this worker left, as `RESTARTS` says. Removes the folders of the
 * others, and kills processes that belong to none.
 */
export async function findAttempts(deps: AttemptDeps): Promise<ClaimedAttempt[]> {
  const found: Found[] = [];
  for (const { dir, stored } of await listStored(deps.paths)) {
    const phase = stored && (await restartPhase(stored.phase, (fact) => FACTS[fact](deps, stored)));
    if (phase) found.push({ stored, phase });
    else await forget(deps, { dir, stored });
  }
  await killStrays(deps, found);
  for (const { stored, phase } of found) if (phase === "preparing") await giveBackUser(deps, stored);
  return found.map((one) => {
    const claimed = newClaimed(deps, one);
    const facts = { attempt: claimed.name, phase: one.stored.phase };
    deps.log.info(facts, "continuing an attempt from before the restart");
    return claimed;
  });
}

/** How each fact is established. */
const FACTS: Record<FoundFact, (deps: AttemptDeps, stored: StoredAttempt) => Promise<boolean>> = {
  "earlier boot": async (_, stored) => !isOfThisBoot(stored),
  "ran nothing": ranNothing,
  "ran nothing, not stopped": async (deps, stored) =>
    stored.stop === null && (await ranNothing(deps, stored)),
  "end journaled": endJournaled,
  "may have run": async (deps, stored) =>
    stored.process !== null && (openStore(deps, stored.assignment).isTaken() || !isOfThisBoot(stored)),
};

/** Ends what runs as the user of an attempt that is not gone on with. */
async function giveBackUser(deps: AttemptDeps, { user }: Pick<StoredAttempt, "user">): Promise<void> {
  const kept = user && deps.walls.users?.kept(user.uid);
  if (kept) await deps.walls.users?.release(kept);
}

/** Whether all files of attempts are as the worker makes them. */
function isOfWorker({ walls }: Pick<AttemptDeps, "walls">): boolean {
  return walls.kind === "none";
}

async function forget(
  deps: AttemptDeps,
  { dir, stored }: { dir: string; stored: StoredAttempt | null },
): Promise<void> {
  try {
    if (stored !== null) await giveBackUser(deps, stored);
    await (isOfWorker(deps) ? removeIfAny(dir) : removeUnfollowed(dir));
  } catch (error) {
    deps.log.warn({ dir, error: String(error) }, "an attempt's folder cannot be removed");
  }
}

/**
 * Kills processes of this state directory's runners that belong to no attempt: a child that outlived the worker, or a
 * process whose attempt's file was lost. Nothing else would end it, and its attempt may be given to another worker.
 */
async function killStrays(deps: AttemptDeps, found: readonly Found[]): Promise<void> {
  // An attempt that begins anew gets a new process.
  const kept = found.filter(({ phase }) => phase !== "preparing");
  const except = new Set(kept.flatMap(({ stored }) => stored.process?.mark ?? []));
  try {
    const left = await killMarked(markPrefix(deps.paths.runners), { except, sleep: deps.sleep });
    if (left.length > 0)
      deps.log.error({ pids: left.map(({ pid }) => pid) }, "processes could not be killed");
  } catch (error) {
    deps.log.error({ error: String(error) }, "processes of earlier attempts could not be searched for");
  }
}

function newClaimed(deps: AttemptDeps, { stored, phase }: Found): ClaimedAttempt {
  const { assignment, spec, gpus, declined } = stored;
  const claimed = new ClaimedAttempt(deps, {
    fence: assignment,
    assignment,
    phase,
    leaseMs: assignment.leaseMs,
    leaseEndsAtMs: deps.bootClock.nowMs() + RESUME_LEASE_MS,
  });
  if (phase === "preparing") claimed.declined = declined;
  else {
    claimed.stored = stored;
    // As `prepareAttempt` allots: a hook has only a slot.
    if (assignment.onlyHook === undefined)
      claimed.taken = { needs: needsOf(computeOf(spec, assignment.trigger)), gpus };
    claimed.stop = stored.stop;
    claimed.user = stored.user && (deps.walls.users?.kept(stored.user.uid) ?? null);
  }
  return claimed;
}

/** Goes on with a process that has its task, or with what it left. */
export async function adopt(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  stored: StoredAttempt,
): Promise<Launched> {
  // Old records are due now. The process may send nothing for hours.
  await claimed.spool();
  deps.wake.report();
  // Credentials that are not known could not be redacted.
  const access = await storeOfSpec(deps, {
    spec: stored.spec,
    originId: originOf(stored.assignment),
  }).catch(() => null);
  const opened = openedAsBefore(deps, stored);
  const secrets = access && opened && (await secretsAsBefore(deps, stored));
  const code = bringCode(deps, claimed, stored.spec.code).catch(() => ({ dir: "", cached: false }));
  // It may be gone, and so may its interpreter: the process runs on all the same.
  keepEnvironment(deps, claimed, stored.spec).catch(() => {});
  const redactor = createRedactor(new Map([...(secrets ?? []), ...(access?.secrets ?? [])]), opened?.hide);
  const refs = access?.refs ?? new RefSigner([], stored);
  // The refs that it was given were checked before its start. The keys may have changed since.
  const task = remoteTaskOf(stored.assignment.trigger);
  const prepared: Prepared = {
    spec: stored.spec,
    workspaceId: stored.workspaceId,
    parameters: opened === null ? {} : plainRefs(opened.parameters),
    sealedOnly: stored.sealedOnly,
    code: () => code,
    interpreter: () => interpreterOf(deps, claimed, { entry: stored.spec.entry, code: () => code }),
    packages: () => packagesOf(deps, claimed, { entry: stored.spec.entry, code: () => code }),
    secrets: secrets ?? new Map(),
    store: access?.store ?? { root: deps.config.store.root },
    redactor,
    refs,
    argument: task && withoutMac(task.input),
  };
  // From here on a stop begins at once, perhaps before the gateway is open. A flow that listened before is asked first.
  claimed.board.awaitReturn();
  const wasStopping = claimed.stop !== null;
  claimed.process = heldProcess(deps, claimed, adoptedProcess(deps, stored));
  const launched = secrets
    ? await openAttemptGateway(deps, { claimed, stored, prepared, ...(await claimed.store.reopen(stored)) })
    : await withoutGateway(deps, { claimed, stored, prepared });
  claimed.board.awaitReturn();
  if (wasStopping) claimed.process.stop();
  else if (!secrets) claimed.requestStop({ reason: "secrets-changed" });
  if (stored.outcome !== null) watchLinger(deps, claimed);
  return launched;
}

/** Without the secrets nothing that the process sends could be redacted, so it has no gateway. */
async function withoutGateway(
  deps: AttemptDeps,
  args: { claimed: ClaimedAttempt; stored: StoredAttempt; prepared: Prepared },
): Promise<Launched> {
  const spool = await args.claimed.spool();
  const running = {
    ...args,
    spool,
    controlPlane: deps.config.url,
    output: null,
    muted: true,
    artifactBytes: LIMITS.artifactBytes,
  };
  return { running, gateway: { close: async () => {} } };
}

/** Whether the last record is in the journal. The disk may have lost its end. */
async function endJournaled(deps: AttemptDeps, stored: StoredAttempt): Promise<boolean> {
  const { types } = await readHistory(join(deps.paths.journals, claimName(stored.assignment)), "control");
  return isTerminated(types);
}

/**
 * Whether the attempt's runner never took its task, so that no user code ran. The runner is killed first,
 * because the task may be on its way to it. After another boot a missing file proves nothing.
 */
async function ranNothing(deps: AttemptDeps, stored: StoredAttempt): Promise<boolean> {
  if (stored.process === null) return true;
  const store = openStore(deps, stored.assignment);
  const mark = markOf(deps, stored);
  const sameBoot = stored.process.start.startsWith(`${readBootId()}:`) === true;
  if (store.isTaken() || mark === "" || !sameBoot) return false;
  const left = await killMarked(mark, { sleep: deps.sleep });
  return left.length === 0 && !store.isTaken();
}

function adoptedProcess(deps: AttemptDeps, stored: StoredAttempt) {
  const { pid, start } = stored.process ?? { pid: -1, start: "" };
  const identity = { pid, start };
  const exited = waitForExit(stored.process?.monitor ?? identity).then(
    (): ExitStatus => ({ code: null, signal: null }),
  );
  return { identity, mark: markOf(deps, stored), exited };
}

/** The mark of an attempt's processes. A flow could change its file, so only marks of this worker's runners count. */
export function markOf(deps: AttemptDeps, { process }: StoredAttempt): string {
  return process?.mark.startsWith(markPrefix(deps.paths.runners)) ? process.mark : "";
}

/** The parameters in plain, and what hides parts of paths; null if the workspace key is not here any more. */
function openedAsBefore(
  { keyring }: Pick<AttemptDeps, "keyring">,
  stored: StoredAttempt,
): { readonly parameters: Prepared["parameters"]; readonly hide: PathMask | null } | null {
  try {
    const parameters = openParameters(keyring, { ...stored, sealedOnly: false });
    return { parameters, hide: maskOf(keyring, stored) };
  } catch {
    return null;
  }
}

/** The attempt's secrets; null if they differ from those that it was started with. */
async function secretsAsBefore(
  deps: AttemptDeps,
  stored: StoredAttempt,
): Promise<ReadonlyMap<string, string> | null> {
  try {
    const names = stored.spec.secrets.map(({ name }) => name);
    const secrets = await deps.secrets.resolve(names);
    const digests = secretDigests(secrets, stored.assignment.nonce);
    return names.every((name) => digests[name] === stored.secrets[name]) ? secrets : null;
  } catch {
    return null;
  }
}
