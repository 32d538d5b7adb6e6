import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const runFile = promisify(execFile);
const TIME_LIMIT_MS = 10_000;

/** The kernel's lists of System V objects, and the flag of `ipcrm` for each. */
const KINDS = [
  { kind: "shm", id: "shmid", flag: "--shmem-id" },
  { kind: "sem", id: "semid", flag: "--semaphore-id" },
  { kind: "msg", id: "msqid", flag: "--queue-id" },
] as const;

/** Removes the shared memory, semaphores and queues of a user, which outlive its processes. @throws if that is not possible */
export async function removeIpc(uid: number): Promise<void> {
  for (const { kind, id, flag } of KINDS) {
    const text = await readFile(`/proc/sysvipc/${kind}`, "latin1").catch(() => "");
    for (const found of idsOf(text, { id, uid }))
      await runFile("ipcrm", [flag, found], {
        timeout: TIME_LIMIT_MS,
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
      });
  }
}

/** The ids in a table of the kernel whose owner or creator is a user. */
export function idsOf(table: string, { id, uid }: { id: string; uid: number }): string[] {
  const [head = "", ...rows] = table.split("\n");
  const names = head.trim().split(/\s+/);
  const [at, owner, creator] = [id, "uid", "cuid"].map((name) => names.indexOf(name));
  return rows.flatMap((row) => {
    const fields = row.trim().split(/\s+/);
    const isOwn = [owner, creator].some((column) => fields[column ?? -1] === String(uid));
    return isOwn ? (fields[at ?? -1] ?? []) : [];
  });
}
