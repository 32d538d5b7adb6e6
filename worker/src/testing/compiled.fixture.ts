import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";

/**
 * Lets the runners of a new worker share the compiled code of all tests. Otherwise each state folder begins with none, and
 * its first runners compile the SDK again.
 */
export async function shareCompiled(stateDir: string): Promise<void> {
  const shared = process.env.NODE_COMPILE_CACHE;
  if (shared === undefined) return;
  await mkdir(shared, { recursive: true });
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await symlink(shared, join(stateDir, "compile-cache")).catch((error: NodeJS.ErrnoException) => {
    // The worker starts again, or has a cache of its own.
    if (error.code !== "EEXIST") throw error;
  });
}
