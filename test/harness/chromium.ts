import { accessSync, constants } from "node:fs";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Lets Chromium run headless as root in a container, without network access of its own. */
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
 * Finds the browser for the browser tests. Undefined if there is none: the tests are then skipped with a message.
 * @throws Error in CI, where no test may be skipped.
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
