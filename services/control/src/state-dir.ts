import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { StartError } from "./start-error.ts";

/** The address of this process, for programs on the same machine. */
const ServerFile = z.object({ url: z.string(), pid: z.number() });

/**
 * Creates the state directory and checks that it is writable.
 * @throws StartError `directory-not-writable`.
 */
export async function openStateDir(dir: string): Promise<void> {
  const probe = join(dir, `.writable-${process.pid}`);
  try {
    await mkdir(dir, { recursive: true });
    await writeFile(probe, "");
    await rm(probe);
  } catch (cause) {
    throw new StartError(
      "directory-not-writable",
      `The folder ${dir} is not writable. Make it writable for this user, or set TOWPATH_STATE_DIR to another folder.`,
      cause,
    );
  }
}

/** Writes `server.json` atomically. */
export async function writeServerFile(dir: string, url: string): Promise<void> {
  const path = join(dir, "server.json");
  const partial = `${path}.${randomUUID()}`;
  await writeFile(partial, `${JSON.stringify({ url, pid: process.pid })}\n`);
  await rename(partial, path);
}

/** Removes `server.json` if this process wrote it. */
export async function removeServerFile(dir: string): Promise<void> {
  const path = join(dir, "server.json");
  const text = await readFile(path, "utf8").catch(() => "{}");
  const found = ServerFile.safeParse(JSON.parse(text));
  if (found.success && found.data.pid === process.pid) await rm(path, { force: true });
}
