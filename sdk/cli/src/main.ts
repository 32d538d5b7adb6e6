#!/usr/bin/env node
import { CommanderError } from "@commander-js/extra-typings";
import { towpath } from "./commands.ts";
import { EXIT } from "./failure.ts";
import type { Streams } from "./output.ts";
import { carrier, tellMisuse } from "./program.ts";

let code: number = EXIT.ok;
let isReaderGone = false;

// A reader that closes early, such as `head`, is not a failure. Commands that must stop processes listen for SIGHUP.
process.stdout.on("error", (error) => {
  if (!("code" in error) || error.code !== "EPIPE") throw error;
  if (isReaderGone) return;
  isReaderGone = true;
  if (!process.emit("SIGHUP", "SIGHUP")) process.exit(code);
});

const write = process.stdout.write.bind(process.stdout);
const streams: Streams = {
  stdout: {
    write,
    isTTY: process.stdout.isTTY,
    get columns() {
      return process.stdout.columns;
    },
  },
  stderr: process.stderr,
  // A project's modules may print when they are imported.
  reserveStdout: () => {
    process.stdout.write = process.stderr.write.bind(process.stderr);
  },
};
const carry = carrier(streams, (exit) => {
  code = exit;
});
try {
  await tellMisuse(await towpath(carry, process.argv[2])).parseAsync();
} catch (failure) {
  if (!(failure instanceof CommanderError)) throw failure;
  code = failure.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
// Waits for the output, but not for timers or sockets of a project's modules.
write("", () => process.exit(code));
