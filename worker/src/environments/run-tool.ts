import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { killMarked } from "../host/index.ts";

/** The most output that is kept, characters. */
const OUTPUT_CHARS = 64 * 1024;
/** How long the output may stay open after the end of the program, milliseconds. A process that it left behind may hold it. */
const DRAIN_MS = 2_000;
/** The variable by which the processes of a program are found. Those in a session of their own are in no group of it. */
const TOOL_MARK = "TOWPATH_TOOL";

/** How a program ended. */
export interface ToolResult {
  /** Null: it was ended by a signal, or could not be started. */
  readonly code: number | null;
  /** The end of what it printed. */
  readonly output: string;
}

/**
 * Runs a program to its end. On abort the program and all processes that it has started are killed. So are those that hold
 * its output after its end.
 * @throws the signal's reason when aborted.
 */
export async function runTool(
  [file, ...args]: readonly [string, ...string[]],
  options: { cwd: string; env: Readonly<Record<string, string>>; signal: AbortSignal },
): Promise<ToolResult> {
  const { cwd, signal } = options;
  signal.throwIfAborted();
  const id = randomUUID();
  // A group of its own: a builder's child processes outlive a kill of the builder alone.
  const child = spawn(file, args, {
    cwd,
    env: { ...options.env, [TOOL_MARK]: id },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      output = (output + chunk.toString("utf8")).slice(-OUTPUT_CHARS);
    });
  const killLeft = () => killMarked(`${TOOL_MARK}=${id}`).catch(() => []);
  const kill = () => killGroupOf(child);
  signal.addEventListener("abort", kill, { once: true });
  let draining: NodeJS.Timeout | undefined;
  try {
    const code = await new Promise<number | null>((resolve) => {
      child.once("error", () => resolve(null));
      child.once("close", resolve);
      child.once("exit", () => {
        draining = setTimeout(async () => {
          await killLeft();
          child.stdout.destroy();
          child.stderr.destroy();
        }, DRAIN_MS);
      });
    });
    if (signal.aborted) await killLeft();
    signal.throwIfAborted();
    return { code, output };
  } finally {
    clearTimeout(draining);
    signal.removeEventListener("abort", kill);
  }
}

function killGroupOf(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It ended between the check and the signal.
  }
}
