import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { StartError } from "./start-error.ts";

/** Where this process is found, for programs on the same machine. */
const ServerFile = z.object({ url: z.string(), pid: z.number() });

/**
 * Makes the state directory and tries to write there.
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
      `The folder ${dir} cannot be written to. Give this user the right to, or set TOWPATH_STATE_DIR to another folder.`,
      cause,
    );
  }
}

/** Writes `server.json` whole, so that readers see the earlier one or this one. */
export async function writeServerFile(dir: string, url: string): Promise<void> {
  const path = join(dir, "server.json");
  const partial = `${path}.${randomUUID()}`;
  await writeFile(partial, `${JSON.stringify({ url, pid: process.pid })}\n`);
  await rename(partial, path);
}

/** Removes `server.json` if it is still this process's. */
export async function removeServerFile(dir: string): Promise<void> {
  const path = join(dir, "server.json");
  const text = await readFile(path, "utf8").catch(() => "{}");
  const found = ServerFile.safeParse(JSON.parse(text));
  if (found.success && found.data.pid === process.pid) await rm(path, { force: true });
}
