/**
 * The program behind `npm start` and `npm test`: installs what is missing, then runs the command. It uses only Node's built-in modules.
 * The machine's own Node reads this file, so it keeps to old syntax until the version is known.
 */
const OLDEST = [20, 19];
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  console.error(
    "Towpath needs Node.js " +
      OLDEST.join(".") +
      " or later to install itself, and this is " +
      process.versions.node +
      ".\nInstall a current Node.js (nodejs.org, or your version manager), then run the same command again.",
  );
  process.exit(1);
}

const { main } = await import("./main.mjs");
process.exitCode = await main(process.argv.slice(2));
