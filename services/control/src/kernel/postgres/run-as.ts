import { execFile, type SpawnOptions } from "node:child_process";
import { readFile } from "node:fs/promises";

/**
 * How Postgres's programs are started; they refuse to run as root.
 * `self`: as the present user. `account`: as an unprivileged account, by root.
 * `namespace`: by root in a user namespace that shows it as an unprivileged user, so that files stay root's.
 */
export type RunAs = { kind: "self" } | { kind: "account" | "namespace"; uid: number; gid: number };

/** A command line with what `spawn` needs to start it. */
export interface Invocation {
  file: string;
  args: string[];
  options: Pick<SpawnOptions, "uid" | "gid" | "env">;
}

const PROBE_TIMEOUT_MS = 30_000;
const OUTPUT_LIMIT_BYTES = 1 << 20;

/** The command line that starts a program in the given way, with nothing of our own environment. */
export function invocationFor(runAs: RunAs, program: { file: string; args: string[] }): Invocation {
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
  if (runAs.kind === "self") return { ...program, options: { env } };
  if (runAs.kind === "account") return { ...program, options: { env, uid: runAs.uid, gid: runAs.gid } };
  const mapping = ["--user", `--map-user=${runAs.uid}`, `--map-group=${runAs.gid}`, "--"];
  return { file: "unshare", args: [...mapping, program.file, ...program.args], options: { env } };
}

/** What a finished program left: its exit code (undefined when it could not be started) and both outputs. */
export interface ProgramResult {
  code: number | undefined;
  output: string;
}

/** Runs a program to its end and never rejects: the caller decides what a failure means. */
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

/** Whether a program started that way can enter a directory: asked of the kernel, not computed from modes. */
export async function canEnter(runAs: RunAs, dir: string): Promise<boolean> {
  const args = ["-c", 'cd -- "$1"', "sh", dir];
  return (await runProgram(runAs, { file: "/bin/sh", args })).code === 0;
}

/** Whether a Postgres installation can be executed that way. */
export async function canExecute(runAs: RunAs, postgres: string): Promise<boolean> {
  return (await runProgram(runAs, { file: postgres, args: ["--version"] })).code === 0;
}

/** The `nobody` account of this machine, if it has one; initdb needs a user that has a name. */
export async function findUnprivilegedAccount(): Promise<{ uid: number; gid: number } | undefined> {
  const passwd = await readFile("/etc/passwd", "utf8").catch(() => "");
  const fields = passwd
    .split("\n")
    .map((line) => line.split(":"))
    .find(([name]) => name === "nobody");
  const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])];
  return uid > 0 && gid > 0 ? { uid, gid } : undefined;
}
