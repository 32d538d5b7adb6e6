import { createHash } from "node:crypto";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { Fence } from "@towpath/contract";
import { z } from "zod";
import { readFileIfAny, replaceFile } from "../state/atomic-file.ts";

/** The file beside the lanes that says whose journal they are. */
export const OWNER_FILE = "fence.json";

/**
 * A control plane that was restored counts claims anew, so a folder of the same name may hold another claim's journal. It is
 * renamed, and stays as a late report.
 */
async function setAsideOfAnother(args: { dir: string; fence: Fence }): Promise<void> {
  const before = await readFence(args.dir).catch(() => null);
  if (before === null || before.nonce === args.fence.nonce) return;
  const suffix = createHash("sha256").update(before.nonce).digest("hex").slice(0, 12);
  await rename(args.dir, `${args.dir}.${suffix}`);
}

/**
 * Makes a claim's journal folder, or finds it where an earlier process of this worker left it.
 * @returns Whether there was none.
 */
export async function makeJournalDir(args: { dir: string; fence: Fence }): Promise<boolean> {
  try {
    await mkdir(args.dir, { mode: 0o700 });
    return true;
  } catch {
    await setAsideOfAnother(args);
    await mkdir(args.dir, { recursive: true, mode: 0o700 });
    return false;
  }
}

const Owner = Fence.partial().extend({ runId: z.string().optional() });

/** Writes down whose journal is in a folder: for as long as the journal itself lasts, which does not wait for the disk either. */
export async function writeOwner(dir: string, args: JournalOwner): Promise<void> {
  await replaceFile(join(dir, OWNER_FILE), ownerText(args));
}

/** Whose a journal is. */
export interface JournalOwner {
  readonly fence: Fence;
  readonly runId: string | undefined;
}

/** The same as it is written down. */
export function ownerText({ fence, runId }: JournalOwner): string {
  return JSON.stringify({ ...Fence.parse(fence), runId });
}

/** The run whose journal is in this folder; null when that was never written down. */
export async function readRunId(dir: string): Promise<string | null> {
  const text = await readFileIfAny(join(dir, OWNER_FILE));
  return text === null ? null : (Owner.parse(JSON.parse(text)).runId ?? null);
}

/** The fence of the claim whose journal is in this folder. */
export async function readFence(dir: string): Promise<Fence> {
  return Fence.parse(JSON.parse(await readFile(join(dir, OWNER_FILE), "utf8")));
}
