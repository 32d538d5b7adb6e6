import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type AttemptUser, temporaryFolder } from "./users.ts";

/** Files of a user's own are for that user and its group, which has no other member. */
export const UMASK = "027";
/** Where programs of the system are. */
const SYSTEM_FOLDERS = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];

/** A command line. */
export interface CommandLine {
  readonly file: string;
  readonly argv: readonly string[];
}

/** Finds a program of the system. The worker's own PATH does not count: root runs it. */
export async function findProgram(name: string): Promise<string | null> {
  for (const folder of SYSTEM_FOLDERS) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return null;
}

/**
 * The command line that changes to a user for good, then becomes the program: real, effective and saved ids, no capability, and
 * no way to new ones by a program with the set-user-id bit.
 */
export function asUser(
  setpriv: string,
  ids: { readonly uid: number; readonly storeGroup: number },
  { file, argv }: CommandLine,
): CommandLine {
  const words = [`--reuid=${ids.uid}`, `--regid=${ids.uid}`, `--groups=${ids.storeGroup}`];
  const less = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"];
  return { file: setpriv, argv: [...words, ...less, "--", file, ...argv] };
}

const runFile = promisify(execFile);

/**
 * Forbids core dumps to this process and to all that it starts from now on: they would contain secrets. Where the program for
 * that is missing, the system's setting stays.
 */
export async function limitCoreDumps(): Promise<void> {
  const prlimit = await findProgram("prlimit");
  if (prlimit === null) return;
  await runFile(prlimit, ["--pid", String(process.pid), "--core=0:0"], { env: {} }).catch(() => {});
}

/** What names a user in the environment. Such a user has no entry in the system's list, where programs would look otherwise. */
export function userEnvironment(user: AttemptUser): Record<string, string> {
  return { HOME: user.home, TMPDIR: temporaryFolder(user), USER: "towpath", LOGNAME: "towpath" };
}
