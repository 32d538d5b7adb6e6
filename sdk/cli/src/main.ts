#!/usr/bin/env node
import { CommanderError } from "@commander-js/extra-typings";
import { towpath } from "./commands.ts";
import { EXIT } from "./failure.ts";
import { tellMisuse } from "./misuse.ts";
import { carrier } from "./program.ts";

let code: number = EXIT.ok;
let isReaderGone = false;

// A reader that goes away early, such as `head`, is no failure. What has to stop things in order then does.
process.stdout.on("error", (error) => {
  if (!("code" in error) || error.code !== "EPIPE") throw error;
  if (isReaderGone) return;
  isReaderGone = true;
  if (!process.emit("SIGHUP", "SIGHUP")) process.exit(code);
});

const carry = carrier({ stdout: process.stdout, stderr: process.stderr }, (exit) => {
  code = exit;
});
try {
  await tellMisuse(towpath(carry)).parseAsync();
} catch (failure) {
  if (!(failure instanceof CommanderError)) throw failure;
  code = failure.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
// A project's modules may leave timers or sockets behind; what was printed is waited for, they are not.
process.stdout.write("", () => process.exit(code));
