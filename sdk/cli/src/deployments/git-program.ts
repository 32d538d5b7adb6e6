import { spawn } from "node:child_process";
import { Failure } from "../failure.ts";

/** How long one call of git may take. */
const GIT_TIMEOUT_MS = 120_000;
/** The most of git's output that is kept, characters. */
const OUTPUT_CHARS_MAX = 16 * 1024 * 1024;

/** One call of git. */
export interface GitCall {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly input?: Iterable<Uint8Array | string>;
}

/** The result of a call. */
export interface GitResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs git with an argument array, never through a shell. @throws Failure if git is not installed. */
export function runGit(call: GitCall): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    const child = spawn("git", call.args, {
      cwd: call.cwd,
      env: { ...call.environment, GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" },
      timeout: GIT_TIMEOUT_MS,
    });
    const output = { stdout: "", stderr: "" };
    const keep = (name: keyof typeof output) => (chunk: string) => {
      if (output[name].length < OUTPUT_CHARS_MAX) output[name] += chunk;
    };
    child.stdout.setEncoding("utf8").on("data", keep("stdout"));
    child.stderr.setEncoding("utf8").on("data", keep("stderr"));
    child.once("error", (cause) =>
      reject(
        new Failure("git cannot be started.", {
          exit: "configuration",
          code: "no-git",
          next: ["install git, or push to an OCI image layout: `registry: ociLayout(...)`"],
          cause,
        }),
      ),
    );
    child.once("close", (code) => resolve({ code, ...output }));
    // If git fails it closes its input early. Its own message is better than the write error.
    child.stdin.on("error", () => undefined);
    for (const part of call.input ?? []) child.stdin.write(part);
    child.stdin.end();
  });
}
