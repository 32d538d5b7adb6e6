import { randomBytes } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Assignment } from "@towpath/contract";
import { readBootId } from "../host/index.ts";
import type { RunnerProcess } from "../launch/index.ts";
import { readFileIfAny, removeIfAny } from "../state/atomic-file.ts";
import { StateError } from "../state/errors.ts";
import type { AttemptFile } from "./attempt-file.ts";
import type { AttemptDeps } from "./deps.ts";
import type { Hold } from "./hold.ts";
import { type ClaimPaths, socketPath } from "./paths.ts";
import { type Prepared, parametersOf, secretDigests } from "./prepare.ts";

const TOKEN_BYTES = 32;
const OWNER_ONLY = { mode: 0o600 } as const;
const OWNER_ONLY_DIR = { mode: 0o700 } as const;

/** An attempt's folder. */
export interface AttemptFolder {
  readonly file: AttemptFile;
  /** What the flow's process shows to the gateway. */
  readonly token: string;
  /** Resolves once all that is needed to go on after a restart is written down. */
  readonly written: Promise<void>;
}

/** Makes the attempt's folder afresh. What is written into it is being written when this resolves. */
export async function makeFolder(
  deps: AttemptDeps,
  hold: Hold,
  a: { assignment: Assignment; prepared: Prepared; runner: RunnerProcess },
): Promise<AttemptFolder> {
  const { files } = hold;
  await makeDirs(files);
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const file: AttemptFile = {
    format: 1,
    boot: readBootId(),
    phase: "preparing",
    assignment: a.assignment,
    workspaceId: a.prepared.workspaceId,
    spec: a.prepared.spec,
    socket: await socketPath(files.dir),
    process: processOf(a.runner),
    launchedAtMs: null,
    stop: null,
    declined: null,
    outcome: null,
    cleanedUp: false,
    gpus: [...(hold.taken?.gpus ?? [])],
    secrets: secretDigests(a.prepared.secrets, hold.fence.nonce),
  };
  hold.file = file;
  const written = writeFolder(hold, { ...a, token });
  // Who waits for it waits for something else first.
  written.catch(() => {});
  deps.log.debug({ attempt: hold.name }, "confirming a start");
  return { file, token, written };
}

async function makeDirs(files: ClaimPaths): Promise<void> {
  try {
    await mkdir(files.dir, OWNER_ONLY_DIR);
  } catch {
    // Of an earlier process of this worker, whose claim is prepared anew.
    await removeIfAny(files.dir);
    await mkdir(files.dir, { recursive: true, ...OWNER_ONLY_DIR });
  }
}

async function writeFolder(
  hold: Hold,
  a: { assignment: Assignment; prepared: Prepared; runner: RunnerProcess; token: string },
): Promise<void> {
  const { files } = hold;
  const parameters = JSON.stringify(parametersOf(a.assignment, a.prepared.spec));
  await Promise.all([
    hold.move("confirm"),
    mkdir(files.work, OWNER_ONLY_DIR),
    writeFile(files.tokenFile, a.token, OWNER_ONLY),
    writeFile(files.parametersFile, parameters, OWNER_ONLY),
    moveOutput(hold, a.runner),
  ]);
}

/** A runner as an attempt's file names it. */
export function processOf({ identity, mark }: RunnerProcess): AttemptFile["process"] {
  return { ...identity, mark };
}

/** Puts what a runner prints where the attempt's output is read. */
export async function moveOutput({ files }: Hold, runner: RunnerProcess): Promise<void> {
  const streams = ["stdout", "stderr"] as const;
  await Promise.all(streams.map((stream) => rename(join(runner.dir, stream), files[stream])));
}

/** The token of a folder that an earlier process of this worker made; its socket's folder is there again. */
export async function openFolder(hold: Hold, { socket }: AttemptFile): Promise<{ token: string }> {
  const token = await readFileIfAny(hold.files.tokenFile);
  if (!token) throw new StateError("The attempt's token is not there any more.");
  await mkdir(dirname(socket), { recursive: true, ...OWNER_ONLY_DIR });
  return { token };
}
