import { type ChildProcess, spawn } from "node:child_process";
import { SECRET_MAX_BYTES } from "./limits.ts";
import { SourceFault } from "./secret-unavailable.ts";
import type { ExecSource } from "./shapes.ts";

/** The variables that each command gets, if the worker has them. */
const VARIABLES = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];
/** The most bytes that a command may print: a secret and its line ending. */
const OUTPUT_MAX_BYTES = SECRET_MAX_BYTES + 2;

const BY_HAND = "Run the command by hand as the worker's user to see why.";

/**
 * Runs the command of a source, without a shell, and returns what it prints without its last line ending. What it prints
 * to stderr is not kept, because it may hold the value.
 * @throws SourceFault when it cannot be started, fails, prints nothing or too much, or takes too long. Its child processes
 * are then killed with it.
 */
export async function runCommand(
  { exec }: ExecSource,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const [program, ...args] = exec.command;
  // A group of its own: child processes of the command outlive a kill of the command alone.
  const child = spawn(program, args, {
    cwd: exec.folder,
    env: chosen(environment, [...VARIABLES, ...exec.variables]),
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort();
    kill(child);
  }, exec.timeoutMs);
  try {
    return await outputOf(child, { late: late.signal, timeoutMs: exec.timeoutMs });
  } finally {
    clearTimeout(timer);
    // A process that left the group may still hold the other end.
    child.stdout.destroy();
  }
}

async function outputOf(
  child: ChildProcess,
  args: { late: AbortSignal; timeoutMs: number },
): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout?.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > OUTPUT_MAX_BYTES) kill(child);
    else chunks.push(chunk);
  });
  const { promise, resolve } = Promise.withResolvers<{ failure?: unknown; code: number | null }>();
  child.once("error", (failure) => resolve({ failure, code: null }));
  // A child process of the command may keep the output open, so that "close" never comes.
  args.late.addEventListener("abort", () => resolve({ code: null }), { once: true });
  child.once("close", (code) => resolve({ code }));
  const ended = await promise;
  if (args.late.aborted)
    throw new SourceFault({ what: `its command did not end within ${args.timeoutMs} ms`, next: BY_HAND });
  if (bytes > OUTPUT_MAX_BYTES)
    throw new SourceFault({
      what: `its command printed more than ${SECRET_MAX_BYTES} bytes`,
      next: "Let it print only the value.",
    });
  if (ended.failure !== undefined)
    throw new SourceFault({
      what: "its command cannot be started",
      next: "Check the command's path and permissions in the worker's configuration.",
      cause: ended.failure,
    });
  if (ended.code !== 0)
    throw new SourceFault({ what: `its command ended with ${endOf(ended.code)}`, next: BY_HAND });
  return valueIn(Buffer.concat(chunks));
}

function valueIn(output: Buffer): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(output);
  } catch {
    throw new SourceFault({
      what: "its command printed bytes that are no UTF-8 text",
      next: "Let it encode the value, for example with base64.",
    });
  }
  const value = text.replace(/\r?\n$/, "");
  if (value === "") throw new SourceFault({ what: "its command printed nothing", next: BY_HAND });
  return value;
}

const endOf = (code: number | null) => (code === null ? "a signal" : `code ${code}`);

function chosen(
  environment: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The whole group has ended.
  }
}
