import { execFile } from "node:child_process";
import type { PasswordCommand } from "towpath/config";
import { Failure } from "../failure.ts";
import { printable } from "../output.ts";

/** How long a command may take, milliseconds, unless the project says otherwise. */
const TIMEOUT_MS = 10_000;
/** The most that it may print, bytes: a secret of a worker is no longer. */
const OUTPUT_BYTES_MAX = 64 * 1024;

/**
 * Runs a command that prints a password, without a shell. What it prints to stderr is not shown, because it may hold the value.
 * @param args.what The secret, for messages.
 * @returns What it prints, without the last line ending.
 * @throws Failure `no-password` when it cannot be started, fails, prints nothing or too much, or takes too long.
 */
export async function passwordOf(
  { exec }: PasswordCommand,
  args: { readonly what: string; readonly environment: Readonly<Record<string, string | undefined>> },
): Promise<string> {
  const { command, timeoutMs = TIMEOUT_MS } = exec;
  const [program = "", ...rest] = command;
  const { promise, resolve } = Promise.withResolvers<{ fault: string | null; stdout: string }>();
  const options = { timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: OUTPUT_BYTES_MAX } as const;
  const child = execFile(program, rest, { ...options, env: { ...args.environment } }, (error, stdout) => {
    if (error === null) return resolve({ fault: stdout.trim() === "" ? "printed nothing" : null, stdout });
    if (error.code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER")
      return resolve({ fault: `printed more than ${OUTPUT_BYTES_MAX} bytes`, stdout: "" });
    const how =
      error.killed === true ? `did not end within ${timeoutMs} ms` : `failed (${error.code ?? "killed"})`;
    resolve({ fault: how, stdout: "" });
  });
  child.stdin?.end();
  const { fault, stdout } = await promise;
  if (fault === null) return stdout.replace(/\r?\n$/, "");
  throw new Failure(`${args.what} is missing: the command ${printable(program)} ${fault}.`, {
    exit: "configuration",
    code: "no-password",
    next: ["run the command by hand to see why, then deploy again"],
  });
}
