import { execFile } from "node:child_process";
import { promisify } from "node:util";

const runFile = promisify(execFile);
const TIME_LIMIT_MS = 30_000;

/**
 * Gives the disk space of a file's beginning back to the system while the file goes on growing. The bytes read as NUL
 * afterwards, and no offset changes, so a process that appends notices nothing and no byte behind is at risk.
 * Node cannot do this itself, so it takes the `fallocate` program, and a file system with holes.
 * @returns Whether it could.
 */
export async function giveBackSpace(path: string, bytes: number): Promise<boolean> {
  try {
    const args = ["--punch-hole", "--offset", "0", "--length", String(bytes), "--", path];
    await runFile("fallocate", args, { timeout: TIME_LIMIT_MS, env: { PATH: "/usr/bin:/bin", LC_ALL: "C" } });
    return true;
  } catch {
    return false;
  }
}
