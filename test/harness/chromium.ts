import { accessSync, constants } from "node:fs";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** What lets Chromium run headless as root in a container and keeps it off the network on its own behalf. */
export const CHROMIUM_ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
] as const;

/**
 * Finds the browser that the browser tests drive; undefined when the machine has none, so that they can be skipped.
 * @throws Error under CI, where nothing may be skipped.
 * @example
 * const chromium = findChromium();
 * test.skipIf(chromium === undefined)("the run's page shows its state", …)
 */
export function findChromium(): string | undefined {
  const found = PLACES.find(isExecutable);
  if (found === undefined && process.env.CI) {
    throw new Error(
      "The browser tests need chromium under CI. Install it (Debian: `apt-get install chromium`).",
    );
  }
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
