import { spawn } from "node:child_process";
import { constants } from "node:os";

const OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Runs a program, waits for its end and captures its output.
 * @returns {Promise<{ code: number, output: string }>} code 127 if the program does not exist
 */
export function runQuietly(file, args, options = {}) {
  return new Promise((resolve) => {
    const chunks = [];
    let size = 0;
    const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    const keep = (chunk) => {
      size += chunk.length;
      if (size <= OUTPUT_LIMIT_BYTES) chunks.push(chunk);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const output = () => Buffer.concat(chunks).toString("utf8");
    child.once("error", (error) =>
      resolve({ code: error.code === "ENOENT" ? 127 : 126, output: String(error) }),
    );
    child.once("close", (code, signal) => resolve({ code: exitCodeOf(code, signal), output: output() }));
  });
}

/**
 * Gives the terminal to a program until it ends.
 *
 * Ctrl-C at a terminal reaches the whole foreground process group, the program included, so it is not sent again: the program would
 * see a second Ctrl-C. Without a terminal a signal reaches only this process, which passes it on.
 * @returns {Promise<number>} its exit code, or 128 + the number of the signal that ended it
 */
export function runInForeground(file, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: "inherit", ...options });
    const terminal = process.stdin.isTTY === true;
    const handlers = ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => {
      const pass = () => {
        if (signal !== "SIGINT" || !terminal) child.kill(signal);
      };
      process.on(signal, pass);
      return () => process.off(signal, pass);
    });
    const settle = (act) => {
      for (const remove of handlers) remove();
      act();
    };
    child.once("error", (error) => settle(() => reject(error)));
    child.once("close", (code, signal) => settle(() => resolve(exitCodeOf(code, signal))));
  });
}

function exitCodeOf(code, signal) {
  return code ?? 128 + (constants.signals[signal] ?? 0);
}
