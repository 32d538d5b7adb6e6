import { randomBytes } from "node:crypto";
import { chown, lstat, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PostgresStartError } from "./errors.ts";
import { giveFiles, type Placement } from "./placement.ts";
import { runProgram } from "./run-as.ts";

/** The superuser of an embedded cluster. */
export const CLUSTER_USER = "towpath";

const INITDB_TIMEOUT_MS = 120_000;

/** An initialised data directory, and its password. */
export interface Cluster {
  dataDir: string;
  password: string;
}

/**
 * Creates the data directory on first use and finds it again later. After a crash in between, a later call does not
 * mistake the rest for a complete cluster.
 * @throws PostgresStartError `initialisation-failed`.
 */
export async function prepareCluster(placement: Placement): Promise<Cluster> {
  const dataDir = join(placement.root, "data");
  const passwordPath = join(placement.root, "password");
  const present = await lstat(join(dataDir, "PG_VERSION")).catch(() => undefined);
  const known = (await readFile(passwordPath, "utf8").catch(() => "")).trim();
  if (present !== undefined && known === "") throw passwordLost(passwordPath, dataDir);
  if (present !== undefined) {
    await giveFiles(dataDir, placement.runAs);
    return { dataDir, password: known };
  }
  const password = randomBytes(24).toString("base64url");
  await writeFile(passwordPath, `${password}\n`, { mode: 0o600 });
  await initialise({ placement, dataDir, password });
  return { dataDir, password };
}

async function initialise(options: {
  placement: Placement;
  dataDir: string;
  password: string;
}): Promise<void> {
  const { placement, dataDir } = options;
  const partial = `${dataDir}.partial`;
  const passwordFile = join(placement.root, "initial-password");
  await rm(partial, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await mkdir(partial, { mode: 0o700 });
  await giveFiles(partial, placement.runAs);
  await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600 });
  await giveFile(passwordFile, placement);
  try {
    const args = initdbArguments(partial, passwordFile);
    const program = { file: placement.binaries.initdb, args, timeoutMs: INITDB_TIMEOUT_MS };
    const { code, output } = await runProgram(placement.runAs, program);
    if (code !== 0) throw initialisationFailed(dataDir, output);
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(partial, dataDir);
}

function initdbArguments(dataDir: string, passwordFile: string): string[] {
  return [
    "-D",
    dataDir,
    "-U",
    CLUSTER_USER,
    "-A",
    "scram-sha-256",
    `--pwfile=${passwordFile}`,
    "-E",
    "UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
  ];
}

async function giveFile(path: string, placement: Placement): Promise<void> {
  if (placement.runAs.kind !== "account") return;
  await chown(path, placement.runAs.uid, placement.runAs.gid);
}

function initialisationFailed(dataDir: string, output: string): PostgresStartError {
  const lastLines = output.split("\n").slice(-3).join(" ").trim();
  const full = /No space left/i.test(output) ? " Free some disk space and try again." : "";
  return new PostgresStartError(
    "initialisation-failed",
    `Postgres could not create its data directory ${dataDir}: ${lastLines}.${full}`,
  );
}

function passwordLost(path: string, dataDir: string): PostgresStartError {
  return new PostgresStartError(
    "initialisation-failed",
    `The database in ${dataDir} exists, but its password file ${path} is missing. ` +
      "Restore that file, or move the data directory away to start with an empty database.",
  );
}
