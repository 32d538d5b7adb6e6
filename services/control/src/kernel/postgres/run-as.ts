import { execFile, type SpawnOptions } from "node:child_process";
import { readFile } from "node:fs/promises";

/**
 * The user who runs Postgres's programs, which refuse to run as root. `self`: the present user. `account`: an
 * unprivileged account, started by root. `namespace`: started by root in a user namespace that maps it to an
 * unprivileged user, so that root keeps the files.
 */
export type RunAs = { kind: "self" } | { kind: "account" | "namespace"; uid: number; gid: number };

/** A command line with the options for `spawn`. */
export interface Invocation {
  file: string;
  args: string[];
  options: Pick<SpawnOptions, "uid" | "gid" | "env">;
}

const PROBE_TIMEOUT_MS = 30_000;
const OUTPUT_LIMIT_BYTES = 1 << 20;

/** The command line that runs a program as the given user, without our environment. */
export function invocationFor(runAs: RunAs, program: { file: string; args: string[] }): Invocation {
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
  if (runAs.kind === "self") return { ...program, options: { env } };
  if (runAs.kind === "account") return { ...program, options: { env, uid: runAs.uid, gid: runAs.gid } };
  const mapping = ["--user", `--map-user=${runAs.uid}`, `--map-group=${runAs.gid}`, "--"];
  return { file: "unshare", args: [...mapping, program.file, ...program.args], options: { env } };
}

/** The exit code of a program (undefined if it could not start) and both outputs. */
export interface ProgramResult {
  code: number | undefined;
  output: string;
}

/** Runs a program to its end. Never rejects: the caller decides what a failure means. */
export function runProgram(
  runAs: RunAs,
  program: { file: string; args: string[]; timeoutMs?: number },
): Promise<ProgramResult> {
  const { file, args, options } = invocationFor(runAs, program);
  const limits = { timeout: program.timeoutMs ?? PROBE_TIMEOUT_MS, maxBuffer: OUTPUT_LIMIT_BYTES };
  return new Promise((resolve) => {
    execFile(file, args, { ...options, ...limits, cwd: "/" }, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`.trim();
      if (error === null) return resolve({ code: 0, output });
      const code = typeof error.code === "number" ? error.code : undefined;
      resolve({ code, output: output === "" ? error.message : output });
    });
  });
}

/** Whether such a program can enter a directory. The kernel decides, not the modes. */
export async function canEnter(runAs: RunAs, dir: string): Promise<boolean> {
  const args = ["-c", 'cd -- "$1"', "sh", dir];
  return (await runProgram(runAs, { file: "/bin/sh", args })).code === 0;
}

/** Whether that user can run a Postgres installation. */
export async function canExecute(runAs: RunAs, postgres: string): Promise<boolean> {
  return (await runProgram(runAs, { file: postgres, args: ["--version"] })).code === 0;
}

/** The `nobody` account of this machine, if it has one. initdb needs a user with a name. */
export async function findUnprivilegedAccount(): Promise<{ uid: number; gid: number } | undefined> {
  const passwd = await readFile("/etc/passwd", "utf8").catch(() => "");
  const fields = passwd
    .split("\n")
    .map((line) => line.split(":"))
    .find(([name]) => name === "nobody");
  const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])];
  return uid > 0 && gid > 0 ? { uid, gid } : undefined;
}
