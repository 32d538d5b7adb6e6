import { randomBytes } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Assignment } from "@towpath/contract";
import { type Gateway, openGateway } from "../gateway/index.ts";
import { failpoint } from "../host/failpoint.ts";
import { readBootId } from "../host/index.ts";
import { attemptEnvironment, LaunchError, type RunnerTask, type TakenRunner } from "../launch/index.ts";
import { readFileIfAny, removeIfAny } from "../state/atomic-file.ts";
import { StateError } from "../state/errors.ts";
import type { AttemptFile } from "./attempt-file.ts";
import { type AttemptDeps, instant } from "./deps.ts";
import { contextOf, flowHost, type Running } from "./flow-host.ts";
import type { Hold } from "./hold.ts";
import { socketPath } from "./paths.ts";
import { type Prepared, parametersOf, secretDigests } from "./prepare.ts";
import { startEscalation } from "./stop.ts";
import { watchLinger } from "./watch.ts";

const TOKEN_BYTES = 32;
const OWNER_ONLY = { mode: 0o600 } as const;

/** An attempt that was launched, and its gateway. */
export interface Launched {
  readonly running: Running;
  readonly gateway: Gateway;
}

/** The attempt was stopped, or its start declined, before there was a process. */
export class NotStarted extends Error {
  override readonly name = "NotStarted";
}

/** Makes the attempt's folder afresh and writes down what is needed to go on after a restart. */
export async function writeAttempt(
  deps: AttemptDeps,
  hold: Hold,
  a: { assignment: Assignment; prepared: Prepared },
): Promise<AttemptFile> {
  const { files } = hold;
  await removeIfAny(files.dir);
  await mkdir(files.work, { recursive: true, mode: 0o700 });
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const parameters = JSON.stringify(parametersOf(a.assignment, a.prepared.spec));
  const socket = await socketPath(files.dir);
  const file: AttemptFile = {
    format: 1,
    boot: readBootId(),
    phase: "preparing",
    assignment: a.assignment,
    workspaceId: a.prepared.workspaceId,
    spec: a.prepared.spec,
    socket,
    process: null,
    launchedAtMs: null,
    stop: null,
    declined: null,
    outcome: null,
    gpus: [...(hold.taken?.gpus ?? [])],
    secrets: secretDigests(a.prepared.secrets, hold.fence.nonce),
  };
  hold.file = file;
  await Promise.all([
    writeFile(files.tokenFile, token, OWNER_ONLY),
    writeFile(files.parametersFile, parameters, OWNER_ONLY),
    hold.move("confirm"),
  ]);
  deps.log.debug({ attempt: hold.name }, "confirming a start");
  return file;
}

/**
 * Reports the start and waits until the control plane has accepted it, however long it is away: nothing is launched before.
 * @throws NotStarted when it was declined, or the attempt is to be stopped.
 */
export async function confirmStart(deps: AttemptDeps, hold: Hold, launcher: "warm" | "cold"): Promise<void> {
  const spool = await hold.spool();
  // A start that an earlier process of this worker reported is asked about again: what was answered then may be
  // known no more, or be no longer so. The control plane recognises it by its fence.
  if (spool.started !== undefined) spool.offerAgain();
  else await spool.control({ type: "started", at: instant(deps.clock), launcher });
  failpoint("start");
  deps.events.pending();
  const stopped = new Promise<null>((resolve) => {
    hold.stopping.signal.addEventListener("abort", () => resolve(null), { once: true });
    if (hold.stopping.signal.aborted) resolve(null);
  });
  const answer = await Promise.race([hold.startAnswer.promise, stopped]);
  if (answer?.kind === "declined") throw new NotStarted(`The start was not accepted: ${answer.detail}`);
  if (answer === null || hold.stop !== null) throw new NotStarted("The attempt was stopped before it began.");
}

/** Opens the gateway of an attempt, at the same place as before if it had one. */
export async function openAttemptGateway(
  deps: AttemptDeps,
  a: { hold: Hold; file: AttemptFile; prepared: Prepared },
): Promise<Launched> {
  const { hold, file, prepared } = a;
  const running: Running = {
    hold,
    file,
    prepared,
    spool: await hold.spool(),
    controlPlane: deps.config.url,
    muted: false,
    onOutcome: () => watchLinger(deps, { hold }),
  };
  const token = await readFileIfAny(hold.files.tokenFile);
  if (!token) throw new StateError("The attempt's token is not there any more.");
  await mkdir(dirname(file.socket), { recursive: true, mode: 0o700 });
  const gateway = await openGateway(deps, { socket: file.socket, token, host: flowHost(deps, running) });
  return { running, gateway };
}

/**
 * Gives a runner its task. The runner is on the disk before it learns what to run, so there is never a process at work that a
 * restarted worker does not know.
 * @throws LaunchError when the runner ends before it takes the task.
 */
export async function launch(
  deps: AttemptDeps,
  running: Running,
  { runner }: Pick<TakenRunner, "runner">,
): Promise<void> {
  const { hold } = running;
  await Promise.all(
    (["stdout", "stderr"] as const).map((stream) => rename(join(runner.dir, stream), hold.files[stream])),
  );
  if (!hold.file) throw new LaunchError("The attempt has no file.");
  // The machine may have slept since the start was confirmed: then the attempt may be another worker's by now.
  if (hold.file.spec.onDisconnect === "stop" && deps.bootClock.nowMs() >= hold.leaseEndsAtMs)
    throw new LaunchError("The lease ran out before the process could be started.");
  hold.file = {
    ...hold.file,
    process: { ...runner.identity, mark: runner.mark },
    launchedAtMs: deps.bootClock.nowMs(),
  };
  await hold.move("launch");
  failpoint("launch");
  hold.process = { identity: runner.identity, mark: runner.mark, exited: runner.exited };
  await runner.assign(runnerTask(running));
  deps.events.launched();
  await removeIfAny(runner.dir);
  // It may have been told to stop while there was no process to tell.
  if (hold.stop !== null) startEscalation(deps, hold);
}

function runnerTask(running: Running): RunnerTask {
  const { hold, file, prepared } = running;
  const { files } = hold;
  const env = attemptEnvironment({
    spec: file.spec,
    secrets: prepared.secrets,
    gpus: file.gpus,
    gateway: {
      socket: file.socket,
      tokenFile: files.tokenFile,
      runId: file.assignment.runId,
      parametersFile: files.parametersFile,
      workDir: files.work,
    },
  });
  const { entry } = file.spec;
  const common = { cwd: prepared.codeDir, env, takenFile: files.takenFile };
  if (entry.kind === "command")
    return { ...common, kind: "command", argv: entry.argv, exitFile: files.exitFile };
  const address = { socket: file.socket, tokenFile: files.tokenFile };
  const context = contextOf(running);
  return { ...common, kind: "flow", address, context, module: entry.module, exportName: entry.export };
}
