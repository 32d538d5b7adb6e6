#!/usr/bin/env node
/**
 * The `towpath` command of the published package. It says which Node it needs if the machine's is too old, since an old Node stops
 * at the command's own modules before it runs a line of them.
 * It uses only Node's built-in modules and old syntax.
 */
const NEEDED = [22, 18];
/** EX_CONFIG in sysexits.h: the command is not set up. */
const EXIT_CONFIGURATION = 78;
const found = process.versions.node.split(".").map(Number);

if (found[0] < NEEDED[0] || (found[0] === NEEDED[0] && found[1] < NEEDED[1])) {
  console.error(
    "✗ towpath needs Node.js " +
      NEEDED.join(".") +
      " or newer, and this is " +
      process.versions.node +
      " (" +
      process.execPath +
      ").\n→ install a current Node.js (nodejs.org, or your version manager), then the same command again",
  );
  process.exitCode = EXIT_CONFIGURATION;
} else {
  // Only the package has this file, where the build puts it.
  await import(new URL("main.js", import.meta.url).href);
}
