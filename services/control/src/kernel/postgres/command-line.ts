import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The arguments of a running process. Undefined if it has ended or may not be read. */
export async function readCommandLine(pid: number): Promise<string[] | undefined> {
  if (process.platform === "linux") {
    const raw = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    return raw === "" ? undefined : raw.replace(/\0$/, "").split("\0");
  }
  const answer = await run("/bin/ps", ["-o", "command=", "-p", String(pid)]).catch(() => undefined);
  const line = answer?.stdout.trim();
  return line === undefined || line === "" ? undefined : line.split(" ");
}
