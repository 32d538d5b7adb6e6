/*
 * A process that wants a state directory. Argument: the directory. It prints `locked` and holds on until its stdin ends, or
 * `refused PID` and exits.
 */
import { JournalError } from "./journal-error.ts";
import { lockStateDir } from "./state-lock.ts";

const [dir = ""] = process.argv.slice(2);
try {
  const lock = await lockStateDir(dir);
  process.stdout.write("locked\n");
  for await (const _ of process.stdin);
  await lock.release();
} catch (error) {
  if (!(error instanceof JournalError)) throw error;
  process.stdout.write(`refused ${error.holderPid}\n`);
}
