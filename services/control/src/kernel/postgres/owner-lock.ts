import { randomUUID } from "node:crypto";
import { link, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { identifyProcess, isAlive, ProcessIdentity } from "@towpath/contract/process";
import { PostgresStartError } from "./errors.ts";

const CLAIM_NAME = /^owner\.(\d+)\.json$/;
const CLAIM_TRIES = 20;
const RELEASED = "{}";

/** The claim of this process on a database directory. */
export interface OwnerLock {
  release(): Promise<void>;
}

/**
 * Claims a database directory for this process, so that two control planes never share a server by accident. It takes
 * over the claim of a dead process. Of concurrent callers, one succeeds.
 *
 * Claims are numbered and the highest counts. Linking a finished file to a name takes a number atomically. That happens
 * only after the claim below was found dead or released, and lower claims are removed only after a higher one exists.
 * So a caller whose number is the highest after it took it is the only owner.
 * @throws PostgresStartError `directory-in-use` while another living process holds it.
 */
export async function claimDirectory(dir: string): Promise<OwnerLock> {
  const self = (await identifyProcess(process.pid)) ?? { pid: process.pid, start: "" };
  const draft = join(dir, `owner.draft.${randomUUID()}`);
  await writeFile(draft, JSON.stringify(self), { mode: 0o600 });
  try {
    for (let tryNumber = 1; tryNumber <= CLAIM_TRIES; tryNumber += 1) {
      const number = (await refuseIfOwned(dir)) + 1;
      if (!(await succeeds(link(draft, claimPath(dir, number))))) continue;
      const numbers = await claimNumbers(dir);
      if (numbers.some((other) => other > number)) {
        await rm(claimPath(dir, number), { force: true });
        continue;
      }
      await Promise.all(
        numbers.filter((other) => other < number).map((other) => rm(claimPath(dir, other), { force: true })),
      );
      return { release: () => releaseClaim(dir, number) };
    }
    throw inUse(dir, undefined);
  } finally {
    await rm(draft, { force: true });
  }
}

/** The number of the highest claim, which no living process holds. 0 if there is none. */
async function refuseIfOwned(dir: string): Promise<number> {
  const highest = Math.max(0, ...(await claimNumbers(dir)));
  const owner = parseOwner(await readFile(claimPath(dir, highest), "utf8").catch(() => RELEASED));
  if (owner !== undefined && (await isAlive(owner))) throw inUse(dir, owner.pid);
  return highest;
}

async function claimNumbers(dir: string): Promise<number[]> {
  return (await readdir(dir)).flatMap((name) => {
    const number = CLAIM_NAME.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}

/** The file stays as a released claim, so that its number is not given again. */
async function releaseClaim(dir: string, number: number): Promise<void> {
  const draft = join(dir, `owner.draft.${randomUUID()}`);
  await writeFile(draft, RELEASED, { mode: 0o600 });
  await rename(draft, claimPath(dir, number));
}

function claimPath(dir: string, number: number): string {
  return join(dir, `owner.${number}.json`);
}

function parseOwner(text: string): ProcessIdentity | undefined {
  try {
    return ProcessIdentity.parse(JSON.parse(text));
  } catch {
    // A released claim, or one that a full disk cut short, names no living process.
    return undefined;
  }
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

function inUse(dir: string, pid: number | undefined): PostgresStartError {
  const who = pid === undefined ? "Another process" : `Process ${pid}`;
  return new PostgresStartError(
    "directory-in-use",
    `${who} is already using the database in ${dir}. Stop it first, or start with another state directory.`,
  );
}
