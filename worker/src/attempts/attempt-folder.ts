import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Assignment } from "@towpath/contract";
import { readBootId } from "@towpath/contract/process";
import type { RunnerProcess } from "../launch/index.ts";
import { readFileIfAny } from "../state/atomic-file.ts";
import { StateError } from "../state/errors.ts";
import type { AttemptFile } from "./attempt-file.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { socketPath } from "./paths.ts";
import { placeFolder } from "./preallocation.ts";
import { type Prepared, parametersOf, secretDigests } from "./prepare.ts";

const OWNER_ONLY = { mode: 0o600 } as const;
const OWNER_ONLY_DIR = { mode: 0o700 } as const;

/** An attempt's folder. */
export interface AttemptFolder {
  readonly file: AttemptFile;
  /** What the flow's process shows to the gateway. */
  readonly token: string;
}

/** Makes the attempt's folder afresh: when this resolves, what is needed to go on after a restart is written down. */
export async function makeFolder(
  deps: AttemptDeps,
  claimed: ClaimedAttempt,
  args: { assignment: Assignment; prepared: Prepared; runner: RunnerProcess },
): Promise<AttemptFolder> {
  const { files } = claimed;
  const [preallocated, socket] = await Promise.all([deps.preallocation.folder(), socketPath(files.dir)]);
  const { token } = preallocated;
  const file: AttemptFile = {
    format: 1,
    boot: readBootId(),
    phase: "preparing",
    assignment: args.assignment,
    workspaceId: args.prepared.workspaceId,
    spec: args.prepared.spec,
    socket,
    process: processOf(args.runner),
    launchedAtMs: null,
    stop: null,
    declined: null,
    outcome: null,
    cleanedUp: false,
    gpus: [...(claimed.taken?.gpus ?? [])],
    secrets: secretDigests(args.prepared.secrets, claimed.fence.nonce),
  };
  claimed.file = file;
  await claimed.move("confirm", (said) =>
    placeFolder(preallocated, { to: files.dir, text: JSON.stringify(said) }),
  );
  deps.log.debug({ attempt: claimed.name }, "confirming a start");
  return { file, token };
}

/** Puts the rest into the folder, which only a launch needs. */
export async function fillFolder(
  claimed: ClaimedAttempt,
  args: { assignment: Assignment; prepared: Prepared; runner: RunnerProcess },
): Promise<void> {
  const parameters = JSON.stringify(parametersOf(args.assignment, args.prepared.spec));
  await Promise.all([
    writeFile(claimed.files.parametersFile, parameters, OWNER_ONLY),
    moveOutput(claimed, args.runner),
  ]);
}

/** A runner as an attempt's file names it. */
export function processOf({ identity, mark }: RunnerProcess): AttemptFile["process"] {
  return { ...identity, mark };
}

/** Puts what a runner prints where the attempt's output is read. */
export async function moveOutput({ files }: ClaimedAttempt, runner: RunnerProcess): Promise<void> {
  const streams = ["stdout", "stderr"] as const;
  await Promise.all(streams.map((stream) => rename(join(runner.dir, stream), files[stream])));
}

/** The token of a folder that an earlier process of this worker made; its socket's folder is there again. */
export async function openFolder(
  claimed: ClaimedAttempt,
  { socket }: AttemptFile,
): Promise<{ token: string }> {
  const token = await readFileIfAny(claimed.files.tokenFile);
  if (!token) throw new StateError("The attempt's token is not there any more.");
  await mkdir(dirname(socket), { recursive: true, ...OWNER_ONLY_DIR });
  return { token };
}
