import { type ExecFileException, execFile } from "node:child_process";
import { Failure } from "../failure.ts";
import { printable } from "../output.ts";

/** The most output of a signing command, bytes. A signature is far shorter. */
const OUTPUT_BYTES_MAX = 16 * 1024;
/** The length of an Ed25519 signature, bytes. */
const SIGNATURE_BYTES = 64;
/** How much of what the command complains is shown, characters. */
const COMPLAINT_CHARS = 300;

/** A program that signs with a key which this machine does not have. */
export interface SigningCommand {
  /** The program and its arguments. No shell. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

interface Ended {
  readonly error: ExecFileException | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run({ command, timeoutMs }: SigningCommand, input: string): Promise<Ended> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const options = { timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: OUTPUT_BYTES_MAX } as const;
    const child = execFile(program, args, options, (error, stdout, stderr) =>
      resolve({ error, stdout, stderr }),
    );
    // A command that does not read its input still gives its answer or its exit code.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

function failed(by: SigningCommand, message: string, cause?: unknown): Failure {
  return new Failure(`The signing command ${printable(by.command[0] ?? "")} ${message}.`, {
    exit: "configuration",
    code: "signing-command",
    next: [
      "nothing was signed: run the command by hand; it gets the text to sign on stdin and prints the signature",
      "check `command` and `timeoutMs` in the file that TOWPATH_SIGNING_KEY_FILE names",
    ],
    cause,
  });
}

/**
 * Has a command sign a text with Ed25519. It gets the text on stdin and prints the 64 bytes of the signature in base64 or
 * base64url.
 * @returns The signature in base64url. The caller verifies it.
 * @throws Failure `signing-command`.
 */
export async function signByCommand(by: SigningCommand, input: string): Promise<string> {
  const { error, stdout, stderr } = await run(by, input);
  if (error?.killed === true) throw failed(by, `did not answer within ${by.timeoutMs} ms`, error);
  if (error !== null) {
    const complaint = printable(stderr.trim().slice(-COMPLAINT_CHARS));
    throw failed(by, `failed (${error.code ?? "killed"})${complaint === "" ? "" : `: ${complaint}`}`, error);
  }
  const signature = Buffer.from(stdout.trim(), "base64url");
  if (signature.length !== SIGNATURE_BYTES)
    throw failed(by, `printed ${signature.length} bytes, and a signature has ${SIGNATURE_BYTES}`);
  return signature.toString("base64url");
}
