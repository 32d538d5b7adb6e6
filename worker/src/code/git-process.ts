import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { CodeError } from "./code-error.ts";

/** Where git is, and which variables it gets. */
export interface GitOptions {
  /** The program. @default "git", looked up in PATH */
  readonly path?: string;
  /**
   * The only variables taken from outside, such as PATH, HTTPS_PROXY, NO_PROXY or GIT_SSL_CAINFO.
   * @default a PATH of the usual system directories
   */
  readonly env?: Readonly<Record<string, string>>;
}

/** One call of git. */
export interface GitCall {
  readonly args: readonly string[];
  readonly cwd: string;
  /** Variables in addition to the options' and the fixed ones. Credentials travel here. */
  readonly env: Readonly<Record<string, string>>;
  /** The longest file that git may write, bytes. */
  readonly maxFileBytes: number;
  readonly signal: AbortSignal;
}

/** How a call of git ended. */
export interface GitResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin";
const MAX_OUTPUT_CHARS = 64 * 1024;
const NOT_FOUND_EXIT_CODE = 127;
const NOT_EXECUTABLE_EXIT_CODE = 126;
// Git gets the arguments unchanged: the shell only execs them.
const LIMITED = 'ulimit -c 0; ulimit -f "$1"; shift; exec "$@"';
/** The unit of the limit on file sizes, bytes: POSIX counts `ulimit -f` in such blocks. */
export const ULIMIT_BLOCK_BYTES = 512;

/** No configuration of the user or the system, no prompt, no filter that fetches more. */
const FIXED_ENV = {
  LC_ALL: "C",
  GIT_TERMINAL_PROMPT: "0",
  GIT_ASKPASS: "",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_LFS_SKIP_SMUDGE: "1",
} as const;

/**
 * Runs git to its end.
 * @throws CodeError `git-missing`; the signal's reason when aborted, after git and its child processes were killed.
 */
export async function runGit(options: GitOptions, call: GitCall): Promise<GitResult> {
  let stdout = "";
  const result = await streamGit(options, call, async (output) => {
    for await (const chunk of output) stdout = (stdout + String(chunk)).slice(0, MAX_OUTPUT_CHARS);
  });
  return { ...result, stdout };
}

/** Like `runGit`, with a reader for git's output while it runs. A reader that throws ends git. */
export async function streamGit(
  options: GitOptions,
  call: GitCall,
  read: (output: Readable) => Promise<void>,
): Promise<GitResult> {
  call.signal.throwIfAborted();
  const child = startGit(options, call);
  const kill = () => killTree(child);
  call.signal.addEventListener("abort", kill, { once: true });
  const ended = endOf(child);
  const errors = collect(child.stderr);
  const choked = await read(child.stdout).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  // An output that was cut short is only a symptom. Git's own exit is the cause, and is reported.
  const wasCutShort = child.stdout.readableEnded;
  if (choked && !wasCutShort) kill();
  try {
    const exitCode = await ended;
    call.signal.throwIfAborted();
    if (exitCode === NOT_FOUND_EXIT_CODE || exitCode === NOT_EXECUTABLE_EXIT_CODE) throw missing();
    if (choked && !(wasCutShort && exitCode !== 0)) throw choked.error;
    return { exitCode, stdout: "", stderr: await errors };
  } finally {
    call.signal.removeEventListener("abort", kill);
  }
}

type GitChild = ChildProcessByStdio<null, Readable, Readable>;

function startGit(options: GitOptions, call: GitCall): GitChild {
  const blocks = Math.ceil(call.maxFileBytes / ULIMIT_BLOCK_BYTES);
  const command = [options.path ?? "git", ...call.args];
  return spawn("/bin/sh", ["-c", LIMITED, "sh", String(blocks), ...command], {
    cwd: call.cwd,
    env: { PATH: DEFAULT_PATH, ...options.env, HOME: call.cwd, ...FIXED_ENV, ...call.env },
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own: transports and packers of git outlive a kill of git alone.
    detached: true,
  });
}

async function endOf(child: GitChild): Promise<number | null> {
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", (cause) => reject(missing(cause)));
  child.once("close", (code) => resolve(code));
  return await promise;
}

async function collect(stream: Readable): Promise<string> {
  let text = "";
  try {
    for await (const chunk of stream) text = (text + String(chunk)).slice(-MAX_OUTPUT_CHARS);
  } catch {
    // The stream broke with the process. The output so far is returned.
  }
  return text;
}

function killTree(child: GitChild): void {
  // Until its exit is known, the pid cannot belong to another process.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It ended between the check and the signal.
  }
}

function missing(cause?: unknown): CodeError {
  return new CodeError("git-missing", "The worker could not start git.", { cause });
}
