import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { PostgresStartError } from "./errors.ts";
import { identifyProcess, isSameProcessAlive } from "./process-identity.ts";

const Owner = z.object({ pid: z.number().int(), started: z.string() });
const CLAIM_TRIES = 3;

/** The claim of this process on a database directory. */
export interface OwnerLock {
  release(): Promise<void>;
}

/**
 * Claims a database directory for this process, so that two control planes never share one server by accident.
 * A claim left by a process that died is taken over.
 * @throws PostgresStartError `directory-in-use` while another living process holds it.
 */
export async function claimDirectory(dir: string): Promise<OwnerLock> {
  const path = join(dir, "owner.json");
  const self = await identifyProcess(process.pid);
  const claim = JSON.stringify(self ?? { pid: process.pid, started: "" });
  for (let tryNumber = 1; tryNumber <= CLAIM_TRIES; tryNumber += 1) {
    if (await createExclusively(path, claim)) return { release: () => releaseClaim(path, claim) };
    await dropDeadClaim(path, dir);
  }
  throw inUse(dir, undefined);
}

async function createExclusively(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

async function dropDeadClaim(path: string, dir: string): Promise<void> {
  const text = await readFile(path, "utf8").catch(() => "");
  const owner = parseOwner(text);
  if (owner !== undefined && (await isSameProcessAlive(owner))) throw inUse(dir, owner.pid);
  // A rename lets exactly one of several starters take the dead claim away.
  const aside = `${path}.${process.pid}.dead`;
  await rename(path, aside).catch(() => undefined);
  await rm(aside, { force: true });
}

async function releaseClaim(path: string, claim: string): Promise<void> {
  if ((await readFile(path, "utf8").catch(() => "")) === claim) await rm(path, { force: true });
}

function parseOwner(text: string): z.infer<typeof Owner> | undefined {
  try {
    return Owner.parse(JSON.parse(text));
  } catch {
    // A claim torn by a crash names no living process.
    return undefined;
  }
}

function inUse(dir: string, pid: number | undefined): PostgresStartError {
  const who = pid === undefined ? "Another process" : `Process ${pid}`;
  return new PostgresStartError(
    "directory-in-use",
    `${who} is already using the database in ${dir}. Stop it first, or start with another state directory.`,
  );
}
