import { spawn } from "node:child_process";

/** The most output that is kept, characters. */
const OUTPUT_CHARS = 64 * 1024;

/** How a program ended. */
export interface ToolResult {
  /** Null: it was ended by a signal, or could not be started. */
  readonly code: number | null;
  /** The end of what it printed. */
  readonly output: string;
}

/**
 * Runs a program to its end. On abort the program and its child processes are killed.
 * @throws the signal's reason when aborted.
 */
export async function runTool(
  [file, ...args]: readonly [string, ...string[]],
  options: { cwd: string; env: Readonly<Record<string, string>>; signal: AbortSignal },
): Promise<ToolResult> {
  options.signal.throwIfAborted();
  // A group of its own: a builder's child processes outlive a kill of the builder alone.
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      output = (output + chunk.toString("utf8")).slice(-OUTPUT_CHARS);
    });
  const kill = () => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It ended between the check and the signal.
    }
  };
  options.signal.addEventListener("abort", kill, { once: true });
  try {
    const code = await new Promise<number | null>((resolve) => {
      child.once("error", () => resolve(null));
      child.once("close", resolve);
    });
    options.signal.throwIfAborted();
    return { code, output };
  } finally {
    options.signal.removeEventListener("abort", kill);
  }
}
