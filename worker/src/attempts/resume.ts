import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { computeOf, needsOf } from "@towpath/contract";
import { readBootId } from "@towpath/contract/process";
import { killMarked, waitForExit } from "../host/index.ts";
import { type ExitStatus, markPrefix } from "../launch/index.ts";
import { createRedactor, resolveSecrets } from "../secrets/index.ts";
import { removeIfAny } from "../state/atomic-file.ts";
import { type AttemptFile, isOfThisBoot, readAttemptFile } from "./attempt-file.ts";
import { openFolder } from "./attempt-folder.ts";
import { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { openAttemptGateway } from "./launch-attempt.ts";
import { claimName, claimPaths } from "./paths.ts";
import type { Phase } from "./phases.ts";
import { bringCode, type Prepared, secretDigests } from "./prepare.ts";
import { follow, runAttempt } from "./run.ts";
import { isTerminated } from "./spool.ts";
import { readHistory } from "./spool-position.ts";
import { requestStop, startEscalation } from "./stop.ts";
import { resolveStore } from "./store-access.ts";

/**
 * The lease of an attempt that is taken up after a restart, milliseconds. How long the worker was away is not known, so this is
 * only long enough to ask the control plane.
 */
const RESUME_LEASE_MS = 5_000;
/** Who takes up what was found. */
export interface ResumeTaker {
  add(claimed: ClaimedAttempt): void;
  has(name: string): boolean;
}

/**
 * Takes up the attempts that an earlier process of this worker left: the same process is followed on if it lives, what had not
 * begun is begun anew, and what had ended is reported.
 */
export async function resumeAttempts(deps: AttemptDeps, taker: ResumeTaker): Promise<void> {
  const found: { file: AttemptFile; phase: Phase }[] = [];
  for (const name of await listFolders(deps.paths.attempts)) {
    const dir = join(deps.paths.attempts, name);
    const file = await readAttemptFile(join(dir, "attempt.json"));
    const own = file && claimName(file.assignment) === name ? file : null;
    const phase = own && (await resumedPhase(deps, own));
    if (own && phase) found.push({ file: own, phase });
    else await forget(deps, dir);
  }
  await killStrays(deps, found);
  for (const { file, phase } of found) {
    const claimed = newClaimed(deps, { file, phase });
    taker.add(claimed);
    deps.log.info(
      { attempt: claimed.name, phase: file.phase },
      "taking up an attempt from before the restart",
    );
    resumeOne(deps, claimed, file).catch(async (error: unknown) => {
      deps.log.error({ attempt: claimed.name, error: String(error) }, "an attempt could not be taken up");
      await letGo(deps, claimed, file);
    });
  }
}

async function forget(deps: AttemptDeps, dir: string): Promise<void> {
  try {
    await removeIfAny(dir);
  } catch (error) {
    deps.log.warn({ dir, error: String(error) }, "what an attempt left behind cannot be removed");
  }
}

/**
 * Kills what runners of this state directory left running and no attempt accounts for: a child that hid while the worker
 * was killed, or a process whose attempt's file was lost. Nobody would ever end it, and its attempt may be given to another.
 */
async function killStrays(
  deps: AttemptDeps,
  found: readonly { file: AttemptFile; phase: Phase }[],
): Promise<void> {
  // One that is prepared anew is launched anew: whatever its file names is nobody's.
  const kept = found.filter(({ phase }) => phase !== "preparing");
  const except = new Set(kept.flatMap(({ file }) => file.process?.mark ?? []));
  try {
    const left = await killMarked(markPrefix(deps.paths.runners), { except, sleep: deps.sleep });
    if (left.length > 0) deps.log.error({ pids: left.map(({ pid }) => pid) }, "processes are left over");
  } catch (error) {
    deps.log.error({ error: String(error) }, "processes left over could not be looked for");
  }
}

/** Nobody follows its process, so it must not go on; and unless the claim is let go, the run would wait for ever. */
async function letGo(deps: AttemptDeps, claimed: ClaimedAttempt, file: AttemptFile): Promise<void> {
  const mark = markOf(deps, file);
  if (mark !== "") await killMarked(mark, { sleep: deps.sleep }).catch(() => {});
  deps.events.gone(claimed.name);
}

// What had not been launched is verified and prepared again from its assignment; so is what was launched and ran nothing. After a
// power cut the launch may be what the disk has lost: then the attempt is let go, and the control plane hears that it is lost.
async function resumedPhase(deps: AttemptDeps, file: AttemptFile): Promise<Phase | null> {
  if (file.phase === "confirming" && !isOfThisBoot(file)) return null;
  if (file.phase === "confirming") return (await ranNothing(deps, file)) ? "preparing" : "launched";
  if (file.phase === "launched" && file.stop === null && (await ranNothing(deps, file))) return "preparing";
  if (file.phase === "closing" && !(await saidItsLast(deps, file)))
    return mayHaveRun(deps, file) ? "launched" : "preparing";
  return file.phase === "launched" || file.phase === "closing" ? file.phase : null;
}

function newClaimed(deps: AttemptDeps, args: { file: AttemptFile; phase: Phase }): ClaimedAttempt {
  const { assignment, stop } = args.file;
  const claimed = new ClaimedAttempt(deps, {
    fence: assignment,
    assignment,
    phase: args.phase,
    leaseMs: assignment.leaseMs,
    leaseEndsAtMs: deps.bootClock.nowMs() + RESUME_LEASE_MS,
  });
  if (args.phase !== "preparing") {
    claimed.file = args.file;
    claimed.taken = {
      needs: needsOf(computeOf(args.file.spec, args.file.assignment.trigger)),
      gpus: args.file.gpus,
    };
  }
  claimed.stop = args.phase === "preparing" ? null : stop;
  return claimed;
}

async function resumeOne(deps: AttemptDeps, claimed: ClaimedAttempt, file: AttemptFile): Promise<void> {
  const spool = await claimed.spool();
  if (claimed.phase === "preparing") {
    if (file.declined === null || spool.terminated) return await runAttempt(deps, claimed, file.assignment);
    const error = { name: "NotStarted", message: `The start was not accepted: ${file.declined}` };
    return await claimed.closeWith({ outcome: "cancelled", cause: "user", error });
  }
  if (claimed.phase === "launched") {
    // What it told before is due now: its process may have nothing more to say for hours.
    deps.events.pending();
    return await adopt(deps, claimed, file);
  }
  // The end may have been acknowledged, and the cleaning up cut short.
  if (spool.settled) await claimed.settleIfDone();
  else deps.events.pending();
}

/** Goes on with a process that has its task, or with what it left behind. */
async function adopt(deps: AttemptDeps, claimed: ClaimedAttempt, file: AttemptFile): Promise<void> {
  // Credentials that are not known could not be redacted, whichever they are.
  const access = await resolveStore(deps.config, file.spec.store).catch(() => null);
  const secrets = access && (await secretsAsBefore(deps, file));
  const code = bringCode(deps, claimed, file.spec.code).catch(() => ({ dir: "", cached: false }));
  const prepared: Prepared = {
    spec: file.spec,
    workspaceId: file.workspaceId,
    code: () => code,
    secrets: secrets ?? new Map(),
    store: access?.store ?? { root: deps.config.store.root },
    redactor: createRedactor(new Map([...(secrets ?? []), ...(access?.secrets ?? [])])),
  };
  // From here on a stop begins by itself, and may come before the gateway is open: who listened before is asked, not ended.
  claimed.board.awaitReturn();
  const wasStopping = claimed.stop !== null;
  claimed.process = adoptedProcess(deps, file);
  // Without its secrets nothing that the process says can be redacted, so it is not listened to.
  const launched = secrets
    ? await openAttemptGateway(deps, { claimed, file, prepared, ...(await openFolder(claimed, file)) })
    : {
        running: {
          claimed,
          file,
          prepared,
          spool: await claimed.spool(),
          muted: true,
          controlPlane: deps.config.url,
          onOutcome: () => {},
        },
        gateway: { close: async () => {} },
      };
  claimed.board.awaitReturn();
  if (wasStopping) startEscalation(deps, claimed);
  else if (!secrets) requestStop(deps, claimed, { reason: "secrets-changed" });
  await follow(deps, claimed, launched);
}

/** Whether the last record is still in the journal: a disk that lost its end would leave an attempt that nobody ends. */
async function saidItsLast(deps: AttemptDeps, file: AttemptFile): Promise<boolean> {
  const { types } = await readHistory(join(deps.paths.journals, claimName(file.assignment)), "control");
  return isTerminated(types);
}

/** Whether the attempt's runner may have taken its task. After another boot a file that is missing proves nothing. */
function mayHaveRun(deps: AttemptDeps, file: AttemptFile): boolean {
  const { takenFile } = claimPaths(deps.paths, file.assignment);
  return file.process !== null && (existsSync(takenFile) || !isOfThisBoot(file));
}

/**
 * Whether the worker was killed before the attempt's runner took its task. Then no user code ran, nor will: the runner is ended
 * first, since its task may be on its way to it. After another boot a file that is missing proves nothing.
 */
async function ranNothing(deps: AttemptDeps, file: AttemptFile): Promise<boolean> {
  if (file.process === null) return true;
  const { takenFile } = claimPaths(deps.paths, file.assignment);
  const mark = markOf(deps, file);
  const sameBoot = file.process?.start.startsWith(`${readBootId()}:`) === true;
  if (existsSync(takenFile) || mark === "" || !sameBoot) return false;
  const left = await killMarked(mark, { sleep: deps.sleep });
  return left.length === 0 && !existsSync(takenFile);
}

function adoptedProcess(deps: AttemptDeps, file: AttemptFile) {
  const { pid, start } = file.process ?? { pid: -1, start: "" };
  const identity = { pid, start };
  const exited = waitForExit(identity).then((): ExitStatus => ({ code: null, signal: null }));
  return { identity, mark: markOf(deps, file), exited };
}

/** The mark of an attempt's processes. A flow could write to its file: only a mark of our own may lead to processes that are killed. */
function markOf(deps: AttemptDeps, { process }: AttemptFile): string {
  return process?.mark.startsWith(markPrefix(deps.paths.runners)) ? process.mark : "";
}

/** The attempt's secrets if they are still those it was started with, else null. */
async function secretsAsBefore(
  deps: AttemptDeps,
  file: AttemptFile,
): Promise<ReadonlyMap<string, string> | null> {
  try {
    const names = file.spec.secrets.map(({ name }) => name);
    const secrets = await resolveSecrets(deps.config, names);
    const digests = secretDigests(secrets, file.assignment.nonce);
    return names.every((name) => digests[name] === file.secrets[name]) ? secrets : null;
  } catch {
    return null;
  }
}

/** The folders in a folder. */
export async function listFolders(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
