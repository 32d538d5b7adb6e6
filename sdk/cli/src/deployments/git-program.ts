import { spawn } from "node:child_process";
import { Failure } from "../failure.ts";

/** How long one call of git may take. */
const GIT_TIMEOUT_MS = 120_000;
/** How much of git's output is kept. */
const OUTPUT_CHARS_MAX = 16 * 1024 * 1024;

/** One call of git. */
export interface GitCall {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly input?: Iterable<Uint8Array | string>;
}

/** What a call left. */
export interface GitResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs git to its end with an argument array, never through a shell. @throws Failure when there is no git. */
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
    // git closes its input early when it fails; its own message is the better one.
    child.stdin.on("error", () => undefined);
    for (const part of call.input ?? []) child.stdin.write(part);
    child.stdin.end();
  });
}
